package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// closed are the POST routes that take a token, each with fields that would do.
func closed(item int64) map[string]fields {
	return map[string]fields{
		"/user/me": {}, "/user/finished": {}, "/user/modify": {"info": "stolen"}, "/user/mail/verify": {},
		"/item/add": powerBank(), "/item/modify": {"itemid": item, "title": "stolen"}, "/item/trade": {"itemid": item},
		"/user/logout": {}, "/user/chat/push": {"to": 1, "data": "stolen"}, "/user/chat/fetchnew": {}, "/user/chat/fetchall": {},
		"/fav/query": {}, "/fav/add": {"data": fmt.Sprintf("[%d]", item)}, "/fav/delete": {"data": fmt.Sprintf("[%d]", item)},
		"/item/image": {}, "/user/avatar": {},
	}
}

func TestATokenSaysWhoItIs(t *testing.T) {
	t.Parallel()
	s := shared(t)
	before := time.Now()
	p := s.register(t)
	parts := strings.Split(p.token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token is %q", p.token)
	}
	if got := decoded(t, parts[0]); got["alg"] != "HS256" || got["typ"] != "JWT" {
		t.Errorf("the token's header is %v", got)
	}
	payload := decoded(t, parts[1])
	n := func(name string) int64 {
		t.Helper()
		literal, _ := payload[name].(json.Number)
		whole, err := literal.Int64()
		if err != nil {
			t.Errorf("%s is %v", name, payload[name])
		}
		return whole
	}
	generate, iat, exp := n("generate"), n("iat"), n("exp")
	if n("uuid") != p.id || generate < before.UnixMilli() || generate > time.Now().UnixMilli() || iat != generate/1000 || exp != iat+30*24*3600 {
		t.Errorf("the token of user %d says %v", p.id, payload)
	}
}

func decoded(t *testing.T, part string) object {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	v, err := literally(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return v.(object)
}

func TestATokenComesInTheFieldOrTheHeader(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	ask := func(e encoding, f fields, authorization ...string) answer {
		t.Helper()
		contentType, body := e.encode(f)
		r := s.request(t.Context(), http.MethodPost, "/user/me", contentType, bytes.NewReader(body))
		r.Header["Authorization"] = authorization
		return s.do(t, r)
	}
	mine := with(newcomer(p), "status", "success")
	for _, e := range encodings {
		ask(e, fields{"token": p.token}).is(t, http.StatusOK, mine)
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer   "} { // RFC 9110, 11.1
			ask(e, fields{}, scheme+p.token).is(t, http.StatusOK, mine)
		}
		ask(e, fields{"token": p.token}, "Bearer x").is(t, http.StatusOK, mine)
		ask(e, fields{"token": "x"}, "Bearer "+p.token).forbidden(t)
		for _, wrong := range []string{"", "Bearer", "Bearer ", "Basic " + p.token, p.token, "Bearer" + p.token, "Bearer " + p.token + " x"} {
			ask(e, fields{}, wrong).forbidden(t)
		}
		ask(e, fields{}).forbidden(t)
	}
	ask(inJSON, fields{"token": nil}, "Bearer "+p.token).is(t, http.StatusOK, mine)
	ask(inJSON, fields{"token": []string{p.token}}).forbidden(t)
	for _, wrong := range []any{[]string{p.token}, object{"token": p.token}, true, 7} {
		ask(inJSON, fields{"token": wrong}, "Bearer "+p.token).forbidden(t)
	}
	s.do(t, s.request(t.Context(), http.MethodPost, "/user/me?token="+p.token, "", http.NoBody)).forbidden(t)
}

func TestATokenThatDoesNotCountIsForbidden(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	id := s.register(t).add(t, powerBank())
	now := time.Now()
	claims := jwt.MapClaims{"uuid": p.id, "generate": now.UnixMilli(), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	but := func(name string, v any) jwt.MapClaims {
		c := maps.Clone(claims)
		c[name] = v
		if v == nil {
			delete(c, name)
		}
		return c
	}
	signed := func(method jwt.SigningMethod, key any, c jwt.MapClaims) string {
		t.Helper()
		token, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	secret := []byte(testSecret)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(p.token, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	rs256 := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`))
	flipped := []byte(parts[2])
	flipped[3] ^= 1

	forged := map[string]string{
		"nothing":                    "",
		"no token":                   "token",
		"dots":                       "..",
		"the document's":             "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1dWlkIjoxLCJnZW5lcmF0ZSI6MTU2NzU5NzAyOTA0MywiaWF0IjoxNTY3NTk3MDI5fQ.fx-bxf7P55BU5ouvbGWTbzyTFZ-AH2JLpGLuVC58ge0",
		"not signed":                 none + "." + parts[1] + ".",
		"not signed, but so it says": none + "." + parts[1] + "." + parts[2],
		"without its signature":      parts[0] + "." + parts[1] + ".",
		"cut short":                  p.token[:len(p.token)-1],
		"longer by something":        p.token + "x",
		"longer by a part":           p.token + "." + parts[2],
		"with a blank behind it":     p.token + " ",
		"with a line end behind it":  p.token + "\n",
		"with a line end in it":      p.token[:len(p.token)-5] + "\r\n" + p.token[len(p.token)-5:],
		"with padding":               p.token + "=",
		"with another signature":     parts[0] + "." + parts[1] + "." + string(flipped),
		"with another payload":       parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"uuid":1}`)) + "." + parts[2],
		"with RS256 in its header":   rs256 + "." + parts[1] + "." + parts[2],
		"signed with RS256":          signed(jwt.SigningMethodRS256, private, claims),
		"signed with HS512":          signed(jwt.SigningMethodHS512, secret, claims),
		"signed with HS384":          signed(jwt.SigningMethodHS384, secret, claims),
		"signed with none":           signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims),
		"of another secret":          signed(jwt.SigningMethodHS256, []byte(strings.Repeat("S", 32)), claims),
		"of the empty secret":        signed(jwt.SigningMethodHS256, []byte{}, claims),
		"expired":                    signed(jwt.SigningMethodHS256, secret, but("exp", now.Add(-time.Second).Unix())),
		"without an end":             signed(jwt.SigningMethodHS256, secret, but("exp", nil)),
		"of nobody":                  signed(jwt.SigningMethodHS256, secret, but("uuid", nil)),
		"of user 0":                  signed(jwt.SigningMethodHS256, secret, but("uuid", 0)),
		"of user -1":                 signed(jwt.SigningMethodHS256, secret, but("uuid", -1)),
		"of half a user":             signed(jwt.SigningMethodHS256, secret, but("uuid", float64(p.id)+0.5)),
		"of a user in words":         signed(jwt.SigningMethodHS256, secret, but("uuid", "x")),
		"of a user who is not there": signed(jwt.SigningMethodHS256, secret, but("uuid", 999999999)),
		"very long":                  strings.Repeat("A", 100_000),
		"with many dots":             strings.Repeat(".", 100_000),
	}
	for name, token := range forged {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for path, f := range closed(id) {
				for _, e := range encodings {
					s.postAs(t, e, path, f.with("token", token)).forbidden(t)
				}
			}
		})
	}
	t.Run("and none at all", func(t *testing.T) {
		t.Parallel()
		for path, f := range closed(id) {
			for _, e := range encodings {
				s.postAs(t, e, path, f).forbidden(t)
			}
		}
	})
	t.Run("but one that is right does", func(t *testing.T) { // or all of this would show nothing
		t.Parallel()
		for _, right := range []string{p.token, signed(jwt.SigningMethodHS256, secret, claims)} {
			s.post(t, "/user/me", fields{"token": right}).is(t, http.StatusOK, with(newcomer(p), "status", "success"))
		}
	})
}

func TestANewPasswordRevokesOlderTokens(t *testing.T) {
	t.Parallel()
	s := shared(t)
	p := s.register(t)
	other := s.register(t)
	tokens := []string{p.token}
	for i := range 5 {
		p.login(t) // and in the same millisecond, perhaps
		tokens = append(tokens, p.token)
		password := fmt.Sprintf("correct-horse-%d", i)
		p.post(t, "/user/modify", fields{"password": password}).succeeded(t)
		p.password = password
		for _, old := range tokens {
			s.post(t, "/user/me", fields{"token": old}).forbidden(t)
		}
		p.login(t)
		p.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(newcomer(p), "status", "success"))
		tokens = append(tokens, p.token)
	}
	other.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(newcomer(other), "status", "success"))
	if slices.Contains(tokens[:len(tokens)-1], p.token) {
		t.Error("the last token is one of the revoked ones")
	}
}

func TestATokenExpires(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, timed(now), setting("FOOF_TOKEN_LIFETIME", "48h"))
	p := s.register(t)
	now.pass(48*time.Hour - 2*time.Second)
	p.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(newcomer(p), "status", "success"))
	now.pass(2 * time.Second)
	p.post(t, "/user/me", fields{}).forbidden(t)
	p.login(t)
	p.post(t, "/user/me", fields{}).is(t, http.StatusOK, with(newcomer(p), "status", "success"))
}

// TestATokenOfTheOldPasswordDoesNotOutliveIt has people log in while the password changes: the old one is checked for long, and
// whoever is handed a token for it then is not let in with it.
func TestATokenOfTheOldPasswordDoesNotOutliveIt(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.join(t)
	answers := atOnce(9, func(i int) answer {
		if i == 8 {
			return p.post(t, "/user/modify", fields{"password": "battery-staple"})
		}
		return s.post(t, "/user/login", fields{"phonenumber": p.number, "password": p.password})
	})
	answers[8].succeeded(t)
	for _, a := range answers[:8] {
		if body, _ := a.json(t).(object); body["token"] != nil {
			s.post(t, "/user/me", fields{"token": body["token"]}).forbidden(t)
		}
	}
}
