// Package token makes and checks the tokens by which a front end says who its user is: JWTs signed with HMAC-SHA256
// (RFC 7519, RFC 7518), whose payload has uuid, generate (ms) and iat (s) as front ends know them, and exp.
package token

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"foof/events"

	"github.com/golang-jwt/jwt/v5"
)

// MinSecret is how many bytes a secret has at least: as many as the hash, as RFC 7518 demands.
const MinSecret = 32

// Signer makes and checks tokens. It is safe for concurrent use.
type Signer struct {
	secrets  jwt.VerificationKeySet
	lifetime time.Duration
	now      func() time.Time
}

// NewSigner makes a signer whose tokens are good for lifetime. The first secret signs, and tokens that were signed with any of
// them are good.
func NewSigner(secrets [][]byte, lifetime time.Duration, now func() time.Time) (*Signer, error) {
	s := &Signer{lifetime: lifetime, now: now}
	if len(secrets) == 0 {
		return nil, errors.New("tokens take a secret")
	}
	for _, secret := range secrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("the token secret has %d bytes; it takes at least %d", len(secret), MinSecret)
		}
		s.secrets.Keys = append(s.secrets.Keys, secret)
	}
	return s, nil
}

// Claims is what a token says.
type Claims struct {
	User  events.UserID
	Since int64 // from when on the user's tokens counted when it was made, in ms since 1970
}

type payload struct {
	jwt.RegisteredClaims

	UUID     int64 `json:"uuid"`
	Generate int64 `json:"generate"`
	Since    int64 `json:"since,omitempty"`
}

// Sign makes a token for a user whose tokens count from since on, in ms, and says so in it. That, and not the time at which it
// is made, is what it is judged by: somebody may read an old password, check it for long, and be handed a token when the
// password is another one already.
func (s *Signer) Sign(user events.UserID, since int64) (string, error) {
	now := s.now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, payload{
		UUID:     int64(user),
		Generate: now.UnixMilli(),
		Since:    since,
		RegisteredClaims: jwt.RegisteredClaims{
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(s.lifetime)),
		},
	}).SignedString(s.secrets.Keys[0])
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return token, nil
}

// Verify reads a token that was signed here and has not expired. No other algorithm is accepted, none least of all.
func (s *Signer) Verify(token string) (Claims, error) {
	if strings.ContainsAny(token, "\r\n") { // which Go's base64 decoders skip, strict ones too
		return Claims{}, errors.New("token: line ends in it")
	}
	var p payload
	_, err := jwt.ParseWithClaims(token, &p, func(*jwt.Token) (any, error) { return s.secrets, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(), jwt.WithTimeFunc(s.now))
	if err != nil {
		return Claims{}, fmt.Errorf("token: %w", err)
	}
	if p.UUID <= 0 {
		return Claims{}, errors.New("token: no user")
	}
	return Claims{User: events.UserID(p.UUID), Since: p.Since}, nil
}
