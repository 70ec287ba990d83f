package sms

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"foof/internal/feed"
)

// Webhook sends messages by a POST to a URL, signed, as docs/webhooks.md tells receivers. Any status from 200 to 299 means that the
// message was taken, and anything else, redirects too, that it was not: for good if it is from 400 to 499, but for 408, 425 and
// 429.
type Webhook struct {
	URL    string // may hold a secret of its own: it is in no error
	Secret []byte
	Client *http.Client // with a timeout
	Now    func() time.Time
}

// SendText posts the message once.
func (w *Webhook) SendText(ctx context.Context, m Message) error {
	body, err := json.Marshal(struct {
		ID   string    `json:"id"`
		To   string    `json:"to"`
		Body string    `json:"body"`
		At   time.Time `json:"at"`
	}{m.ID, m.To, m.Body, m.At})
	if err != nil {
		return fmt.Errorf("sms: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sms: %w", describe(err))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", m.ID)
	request.Header.Set("Foof-Signature", w.sign(body))
	client := *w.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("sms: %w", describe(err))
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16)) // so that the connection can be used again
	code := response.StatusCode
	if code >= 200 && code <= 299 {
		return nil
	}
	err = fmt.Errorf("sms: the webhook answered %d %s", code, http.StatusText(code)) // and not in its words, which may repeat ours
	if code >= 400 && code <= 499 && !slices.Contains(passing, code) {
		err = fmt.Errorf("%w: %w", err, feed.ErrPermanent)
	}
	return err
}

// passing are the answers of the 400s after which the same message may be taken.
var passing = []int{http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests}

// describe says what went wrong without the URL that it went wrong with, and without what the other side said: that may repeat
// what is in the message.
func describe(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, network := errors.AsType[net.Error](err) // timeouts, too
	if untrusted || network || errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) {
		return err
	}
	return errors.New("the webhook cannot be asked, or does not answer in HTTP")
}

func (w *Webhook) sign(body []byte) string {
	t := strconv.FormatInt(w.Now().Unix(), 10)
	mac := hmac.New(sha256.New, w.Secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
