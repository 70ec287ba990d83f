package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"foof/internal/feed"

	"github.com/google/go-cmp/cmp"
)

var (
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	secret = []byte("shared secret")
)

func codeMessage() Message {
	return Message{ID: "41-6f9619ff", To: "13800138000", Code: "123456", Body: "【FOOF】验证码 123456 <&>", At: noon}
}

// received is a request as a provider gets it.
type received struct {
	method, contentType, signature, key string
	body                                []byte
}

// provider is a real HTTP server that answers with a status, and a webhook to it.
func provider(t *testing.T, answer http.HandlerFunc) (*Webhook, <-chan received) {
	t.Helper()
	requests := make(chan received, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request: %v", err)
		}
		requests <- received{r.Method, r.Header.Get("Content-Type"), r.Header.Get("Foof-Signature"), r.Header.Get("Idempotency-Key"), body}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	client := server.Client() // with connections of its own: a closing server ends those that are shared
	client.Timeout = time.Minute
	return &Webhook{
		URL: server.URL + "/token-in-path?key=token-in-query", Secret: secret, Client: client, Now: func() time.Time { return noon },
	}, requests
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestWebhookPostsAMessageThatItsReceiverCanVerify(t *testing.T) {
	t.Parallel()
	webhook, requests := provider(t, status(http.StatusOK))
	if err := webhook.SendText(t.Context(), codeMessage()); err != nil {
		t.Fatal(err)
	}
	got := <-requests
	if got.method != http.MethodPost || got.contentType != "application/json" || got.key != "41-6f9619ff" {
		t.Errorf("it was a %s of %s with the key %s", got.method, got.contentType, got.key)
	}
	var body map[string]string
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"id": "41-6f9619ff", "to": "13800138000", "body": "【FOOF】验证码 123456 <&>", "at": "2026-11-22T12:00:00Z"}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}

	// As the documentation tells receivers to: with the bytes as they came.
	stamp, signature, _ := strings.Cut(strings.TrimPrefix(got.signature, "t="), ",v1=")
	if stamp != strconv.FormatInt(noon.Unix(), 10) {
		t.Errorf("it is signed at %s", stamp)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(stamp + "." + string(got.body)))
	if want := hex.EncodeToString(mac.Sum(nil)); signature != want {
		t.Errorf("the signature is %s, want %s", signature, want)
	}
}

func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	const taken, passing, permanent = "is taken", "passes", "is for good"
	for code, want := range map[int]string{
		200: taken, 201: taken, 202: taken, 204: taken, 299: taken,
		300: passing, 304: passing, 408: passing, 425: passing, 429: passing, 500: passing, 501: passing, 503: passing, 599: passing,
		400: permanent, 401: permanent, 403: permanent, 404: permanent, 410: permanent, 422: permanent, 499: permanent,
	} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			webhook, requests := provider(t, status(code))
			err := webhook.SendText(t.Context(), codeMessage())
			if (want == taken) != (err == nil) || err != nil && !strings.Contains(err.Error(), strconv.Itoa(code)) {
				t.Errorf("it is %v", err)
			}
			if (want == permanent) != errors.Is(err, feed.ErrPermanent) {
				t.Errorf("it %s, and the error is %v", want, err)
			}
			if len(requests) != 1 {
				t.Errorf("it was posted %d times", len(requests))
			}
			silent(t, err)
		})
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(code)+" elsewhere is not followed: nobody there has the message", func(t *testing.T) {
			t.Parallel()
			elsewhere, strays := provider(t, status(http.StatusOK))
			webhook, _ := provider(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, code) })
			err := webhook.SendText(t.Context(), codeMessage())
			if err == nil || len(strays) > 0 {
				t.Errorf("it is %v, and %d requests went elsewhere", err, len(strays))
			}
			silent(t, err)
		})
	}
	const inTheirWords = "no code 123456 for 13800138000"
	for raw, want := range map[string]string{
		"HTTP/1.1 400 " + inTheirWords + "\r\nContent-Length: 0\r\n\r\n": "the webhook answered 400 Bad Request: ",
		"HTTP/1.1 599 " + inTheirWords + "\r\nContent-Length: 0\r\n\r\n": "the webhook answered 599",
		inTheirWords + "\r\n": "the webhook cannot be asked, or does not answer in HTTP",
		"HTTP/1.1 200 OK\r\nContent-Length: " + inTheirWords + "\r\n\r\n":    "the webhook cannot be asked, or does not answer in HTTP",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + inTheirWords + "\r\n\r\n": "the webhook cannot be asked, or does not answer in HTTP",
		"HTTP/1.1 200 OK\r\n" + inTheirWords + "\r\n\r\n":                    "the webhook cannot be asked, or does not answer in HTTP",
	} {
		t.Run("in words of the provider's own are not repeated/"+want, func(t *testing.T) {
			t.Parallel()
			webhook, _ := provider(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, raw)
			})
			err := webhook.SendText(t.Context(), codeMessage())
			if err == nil || !strings.HasPrefix(err.Error(), "sms: "+want) {
				t.Errorf("%q is %v", raw, err)
			}
			silent(t, err)
		})
	}
	t.Run("that go on for ever are not read for ever", func(t *testing.T) {
		t.Parallel()
		webhook, _ := provider(t, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		})
		if err := webhook.SendText(t.Context(), codeMessage()); err != nil {
			t.Error(err)
		}
	})
}

func TestWebhookThatFails(t *testing.T) {
	t.Parallel()
	ended := func(t *testing.T) context.Context {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx
	}

	t.Run("because nobody waits any more", func(t *testing.T) {
		t.Parallel()
		webhook, requests := provider(t, status(http.StatusOK))
		err := webhook.SendText(ended(t), codeMessage())
		if !errors.Is(err, context.Canceled) || len(requests) > 0 {
			t.Errorf("it is %v, and %d requests were made", err, len(requests))
		}
		silent(t, err)
	})
	t.Run("because nobody waits any more while the provider thinks", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		webhook, _ := provider(t, func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		err := webhook.SendText(ctx, codeMessage())
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it is %v", err)
		}
		silent(t, err)
	})
	t.Run("because the provider takes too long", func(t *testing.T) {
		t.Parallel()
		webhook, _ := provider(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		webhook.Client.Timeout = time.Millisecond
		err := webhook.SendText(t.Context(), codeMessage())
		if err == nil {
			t.Error("it did not")
		}
		silent(t, err)
	})
	t.Run("because the provider hangs up", func(t *testing.T) {
		t.Parallel()
		webhook, _ := provider(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		err := webhook.SendText(t.Context(), codeMessage())
		if err == nil {
			t.Error("it did not")
		}
		silent(t, err)
	})
	for name, address := range map[string]string{
		"because nobody listens":             "http://127.0.0.1:1/token-in-path?key=token-in-query",
		"because its URL is none":            "http://token-in-path/%zz?key=token-in-query",
		"because its URL has no such scheme": "gopher://token-in-path/?key=token-in-query",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			webhook := &Webhook{URL: address, Secret: secret, Client: &http.Client{Transport: &http.Transport{}}, Now: func() time.Time { return noon }}
			err := webhook.SendText(t.Context(), codeMessage())
			if err == nil {
				t.Error("it did not")
			}
			silent(t, err)
		})
	}
}

// silent checks that an error tells nothing that is secret.
func silent(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range []string{"123456", "13800138000", "shared secret", "token-in-path", "token-in-query"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells %s: %v", secret, err)
		}
	}
}
