package sms

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Webhook sends messages by a POST to a URL:
//
//	{"to": "13800138000", "body": "…", "at": "2026-11-22T12:00:00Z"}
//
// with the header
//
//	Foof-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "<t>.<body>" under the shared secret>
//
// Any status from 200 to 299 means that the message was taken, and anything else, redirects too, that it was not.
type Webhook struct {
	URL    string // may hold a secret of its own: it is in no error
	Secret []byte
	Client *http.Client // with a timeout
	Now    func() time.Time
}

// Send posts the message once.
func (w *Webhook) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(map[string]any{"to": m.To, "body": m.Body, "at": m.At})
	if err != nil {
		return fmt.Errorf("sms: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sms: %w", withoutURL(err))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Foof-Signature", w.sign(body))
	client := *w.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("sms: %w", withoutURL(err))
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16)) // so that the connection can be used again
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("sms: the webhook answered %s", response.Status)
	}
	return nil
}

// withoutURL is what went wrong, without the URL that it went wrong with.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

func (w *Webhook) sign(body []byte) string {
	t := strconv.FormatInt(w.Now().Unix(), 10)
	mac := hmac.New(sha256.New, w.Secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
