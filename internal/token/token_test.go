package token

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"hash"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 123_456_789, time.UTC)
)

const lifetime = 24 * time.Hour

func signerAt(t *testing.T, now time.Time) *Signer {
	t.Helper()
	s, err := NewSigner([][]byte{secret}, lifetime, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign makes a token of user 7.
func sign(t *testing.T, s *Signer, since int64) string {
	t.Helper()
	token, err := s.Sign(7, since)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestNewSigner(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{0: false, 1: false, 31: false, 32: true, 64: true} {
		if _, err := NewSigner([][]byte{make([]byte, size)}, lifetime, time.Now); (err == nil) != ok {
			t.Errorf("a secret of %d bytes: %v", size, err)
		}
	}
	if _, err := NewSigner([][]byte{[]byte("do not tell")}, lifetime, time.Now); err == nil || strings.Contains(err.Error(), "do not tell") {
		t.Errorf("the refusal is %v", err)
	}
}

func TestSecretsAreRotated(t *testing.T) {
	t.Parallel()
	sign := func(secrets ...string) *Signer {
		t.Helper()
		var keys [][]byte
		for _, s := range secrets {
			keys = append(keys, []byte(strings.Repeat(s, 32)))
		}
		s, err := NewSigner(keys, lifetime, func() time.Time { return noon })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before, during, after := sign("a"), sign("b", "a"), sign("b")
	for name, c := range map[string]struct {
		by, at *Signer
		good   bool
	}{
		"an old token while both are known":              {before, during, true},
		"a new token while both are known":               {during, during, true},
		"a new token when the old secret is gone":        {during, after, true},
		"an old token when the old secret is gone":       {before, after, false},
		"a new token where the new one is not yet known": {during, before, false},
	} {
		text, err := c.by.Sign(7, 0)
		if err != nil {
			t.Fatal(err)
		}
		if claims, err := c.at.Verify(text); (err == nil) != c.good || c.good && claims.User != 7 {
			t.Errorf("%s: %+v, %v", name, claims, err)
		}
	}
	if _, err := NewSigner(nil, lifetime, time.Now); err == nil {
		t.Error("without a secret there is a signer")
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	token := sign(t, signerAt(t, noon), 0)
	header, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	for part, c := range map[string]struct {
		text string
		want map[string]string
	}{
		"header": {header, map[string]string{"alg": `"HS256"`, "typ": `"JWT"`}},
		// Numbers, as the document has them: uuid, generate in ms, iat and exp in whole seconds.
		"payload": {body, map[string]string{"uuid": `7`, "generate": `1795348800123`, "iat": `1795348800`, "exp": `1795435200`}},
	} {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(decoded(t, c.text)), &members); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name, value := range members {
			got[name] = string(value)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", part, diff)
		}
	}
	claims, err := signerAt(t, noon).Verify(token)
	if diff := cmp.Diff(Claims{User: 7}, claims); diff != "" || err != nil {
		t.Errorf("claims (-want +got):\n%s%v", diff, err)
	}
}

func TestATokenSaysSinceWhenItCounts(t *testing.T) {
	t.Parallel()
	now := noon.UnixMilli()
	for _, since := range []int64{0, now - 1, now, now + 500} {
		claims, err := signerAt(t, noon).Verify(sign(t, signerAt(t, noon), since))
		if diff := cmp.Diff(Claims{User: 7, Since: since}, claims); diff != "" || err != nil {
			t.Errorf("since %d (-want +got):\n%s%v", since, diff, err)
		}
	}
}

func decoded(t *testing.T, part string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// forge makes a token by hand.
func forge(header, payload string, sign func(text string) []byte) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(header)) + "." + encode([]byte(payload))
	return text + "." + encode(sign(text))
}

func mac(h func() hash.Hash, key []byte) func(text string) []byte {
	return func(text string) []byte {
		m := hmac.New(h, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
}

func payloadWith(t *testing.T, change func(map[string]any)) string {
	t.Helper()
	fields := map[string]any{
		"uuid": 7, "generate": noon.UnixMilli(), "iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
	}
	change(fields)
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	const hs256 = `{"alg":"HS256","typ":"JWT"}`
	right := mac(sha256.New, secret)
	nothing := func(string) []byte { return nil }
	whole := payloadWith(t, func(map[string]any) {})
	with := func(name string, value any) string {
		return forge(hs256, payloadWith(t, func(fields map[string]any) { fields[name] = value }), right)
	}
	without := func(name string) string {
		return forge(hs256, payloadWith(t, func(fields map[string]any) { delete(fields, name) }), right)
	}
	good := forge(hs256, whole, right)
	parts := strings.Split(good, ".")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		token string
		ok    bool
	}{
		"a good one":                               {good, true},
		"one with fields that nobody knows":        {with("role", "admin"), true},
		"one that was just made":                   {with("iat", noon.Unix()), true},
		"one of a clock a little ahead":            {with("iat", noon.Add(30*time.Second).Unix()), true},
		"one that has expired":                     {with("exp", noon.Add(-2*time.Minute).Unix()), false},
		"one without expiry":                       {without("exp"), false},
		"one whose expiry is null":                 {with("exp", nil), false},
		"one whose expiry is text":                 {with("exp", "never"), false},
		"one that is not valid yet":                {with("nbf", noon.Add(time.Hour).Unix()), false},
		"one of nobody":                            {without("uuid"), false},
		"one of user 0":                            {with("uuid", 0), false},
		"one of user -1":                           {with("uuid", -1), false},
		"one whose user is text":                   {with("uuid", "7"), false},
		"one whose user is a fraction":             {with("uuid", 7.5), false},
		"one whose user is too large":              {with("uuid", 1e30), false},
		"one whose payload is no object":           {forge(hs256, `7`, right), false},
		"one whose payload is no JSON":             {forge(hs256, `{`, right), false},
		"none":                                     {"", false},
		"dots":                                     {"..", false},
		"two parts":                                {parts[0] + "." + parts[1], false},
		"four parts":                               {good + "." + parts[2], false},
		"one with a space":                         {good + " ", false},
		"one with a line break in it":              {parts[0] + ".\n" + parts[1] + "." + parts[2], false},
		"one with padding":                         {good + "=", false},
		"one with bits that mean nothing":          {loosened(t, good), false},
		"one with another payload":                 {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(whole, `"uuid":7`, `"uuid":8`, 1))) + "." + parts[2], false},
		"one without a signature":                  {parts[0] + "." + parts[1] + ".", false},
		"one signed with another secret":           {forge(hs256, whole, mac(sha256.New, []byte("another secret of thirty-two bytes"))), false},
		"one signed with no secret":                {forge(hs256, whole, mac(sha256.New, nil)), false},
		"one with half its signature":              {forge(hs256, whole, func(text string) []byte { return right(text)[:16] }), false},
		"alg none":                                 {forge(`{"alg":"none","typ":"JWT"}`, whole, nothing), false},
		"alg None":                                 {forge(`{"alg":"None","typ":"JWT"}`, whole, nothing), false},
		"alg none, signed":                         {forge(`{"alg":"none","typ":"JWT"}`, whole, right), false},
		"no alg":                                   {forge(`{"typ":"JWT"}`, whole, right), false},
		"alg hs256 in small letters":               {forge(`{"alg":"hs256","typ":"JWT"}`, whole, right), false},
		"a list of algs":                           {forge(`{"alg":["HS256"],"typ":"JWT"}`, whole, right), false},
		"HS384 with the secret":                    {forge(`{"alg":"HS384","typ":"JWT"}`, whole, mac(sha512.New384, secret)), false},
		"HS512 with the secret":                    {forge(`{"alg":"HS512","typ":"JWT"}`, whole, mac(sha512.New, secret)), false},
		"RS256 with the secret as its key":         {forge(`{"alg":"RS256","typ":"JWT"}`, whole, right), false},
		"RS256 with a key of its own":              {forge(`{"alg":"RS256","typ":"JWT"}`, whole, byRSA(t, rsaKey)), false},
		"EdDSA with a key of its own":              {forge(`{"alg":"EdDSA","typ":"JWT"}`, whole, func(text string) []byte { return ed25519.Sign(edKey, []byte(text)) }), false},
		"HS256 signed as HS512 is":                 {forge(hs256, whole, mac(sha512.New, secret)), false},
		"HS256 with a key in the header":           {forge(`{"alg":"HS256","jwk":{"kty":"oct","k":""}}`, whole, mac(sha256.New, nil)), false},
		"HS256 with the algorithm twice":           {forge(`{"alg":"HS256","alg":"none"}`, whole, nothing), false},
		"one with a member in a header of its own": {forge(`{"alg":"HS256","crit":["exp"],"kid":"../../dev/null"}`, whole, right), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims, err := signerAt(t, noon).Verify(c.token)
			if c.ok != (err == nil) {
				t.Errorf("it is %+v, %v", claims, err)
			}
			if err != nil && claims != (Claims{}) {
				t.Errorf("there are claims beside the error: %+v", claims)
			}
			if c.ok && claims.User != 7 {
				t.Errorf("its user is %d", claims.User)
			}
		})
	}
}

func byRSA(t *testing.T, key *rsa.PrivateKey) func(text string) []byte {
	t.Helper()
	return func(text string) []byte {
		digest := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Error(err)
		}
		return signature
	}
}

// loosened sets the last bits of a token's signature, which stand for nothing: lax decoders take it for the same token.
func loosened(t *testing.T, token string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	other := token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])+1])
	signature := other[strings.LastIndex(other, ".")+1:]
	if decoded(t, signature) != decoded(t, token[strings.LastIndex(token, ".")+1:]) {
		t.Fatal("that is another signature")
	}
	return other
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	token := sign(t, signerAt(t, noon), 0)
	for after, ok := range map[time.Duration]bool{
		0: true, lifetime - time.Second: true, lifetime + time.Second: false, 10 * lifetime: false,
		-2 * time.Second: true, // another replica's clock may be behind
	} {
		if _, err := signerAt(t, noon.Add(after)).Verify(token); (err == nil) != ok {
			t.Errorf("after %v: %v", after, err)
		}
	}
}

func TestTokenOfAnotherSecretIsRefused(t *testing.T) {
	t.Parallel()
	other, err := NewSigner([][]byte{[]byte("fedcba9876543210fedcba9876543210")}, lifetime, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := signerAt(t, noon).Verify(sign(t, other, 0)); err == nil {
		t.Errorf("it is %+v", claims)
	}
}

func FuzzVerify(f *testing.F) {
	s, err := NewSigner([][]byte{secret}, lifetime, func() time.Time { return noon })
	if err != nil {
		f.Fatal(err)
	}
	good, err := s.Sign(7, 0)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, "", "..", good[:len(good)-1], strings.ToUpper(good), "a.b.c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if claims, err := s.Verify(token); err == nil && token != good {
			t.Errorf("%q is taken for a token of user %d", token, claims.User)
		}
	})
}
