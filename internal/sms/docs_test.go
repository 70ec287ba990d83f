package sms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTheDocumentedExampleIsWhatIsPosted holds the example of docs/webhooks.md against a real request, and its signature against
// the sentence that says what that is.
func TestTheDocumentedExampleIsWhatIsPosted(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```http\n")
	example, rest, _ := strings.Cut(rest, "\n```")
	_, rest, _ = strings.Cut(rest, "signed with the secret `")
	key, _, found := strings.Cut(rest, "`")
	head, body, _ := strings.Cut(example, "\n\n")
	if !found || body == "" {
		t.Fatal("there is no example")
	}

	webhook, requests := provider(t, status(http.StatusOK))
	webhook.Secret = []byte(key)
	webhook.Now = func() time.Time { return noon.Add(time.Minute) }
	err = webhook.SendText(t.Context(), Message{
		ID: "41-6f9619ff", To: "13800138000", Code: "123456", At: noon,
		Body: "【FOOF】验证码 123456，10 分钟内有效。Your code is 123456, good for 10 minutes.",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := <-requests
	sent := "POST /send HTTP/1.1\nContent-Type: " + got.contentType + "\nIdempotency-Key: " + got.key + "\nFoof-Signature: " + got.signature
	if diff := cmp.Diff(head+"\n\n"+body, sent+"\n\n"+string(got.body)); diff != "" {
		t.Errorf("posted (-documented +got):\n%s", diff)
	}

	_, signed, _ := strings.Cut(head, "Foof-Signature: t=")
	stamp, signature, _ := strings.Cut(signed, ",v1=")
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(stamp + "." + body))
	if want := hex.EncodeToString(mac.Sum(nil)); signature != want {
		t.Errorf("the documented signature is %s, want %s", signature, want)
	}
}
