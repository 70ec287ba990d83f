package vault

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"math/big"

	"foof/events"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// codeDigits is the length of a verification code.
const codeDigits = 6

// NewCode draws a verification code for a phone number, and returns the id by which an event can name it. Codes of more than
// a day ago are swept away.
func (v *Vault) NewCode(ctx context.Context, phone events.PhoneIndex, number string) (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", fmt.Errorf("draw a code: %w", err)
	}
	const sql = `
		with swept as (delete from vault_codes where created_at < now() - interval '1 day')
		insert into vault_codes (id, phone, sealed) values ($1, $2, $3)`
	id := uuid.NewString()
	sealed := seal(v.codes, fmt.Appendf(nil, "%0*d%s", codeDigits, n, number), id)
	if _, err := v.pool.Exec(ctx, sql, id, phone, sealed); err != nil {
		return "", fmt.Errorf("store a code: %w", err)
	}
	return id, nil
}

// Code returns the number that a code is for, and its digits. It is pgx.ErrNoRows if the code is no more.
func (v *Vault) Code(ctx context.Context, id string) (number, digits string, err error) {
	var sealed []byte
	if err := v.pool.QueryRow(ctx, `select sealed from vault_codes where id = $1`, id).Scan(&sealed); err != nil {
		return "", "", fmt.Errorf("read code %s: %w", id, err)
	}
	plain, err := unseal(v.codes, sealed, id)
	if err != nil {
		return "", "", fmt.Errorf("read code %s: %w", id, err)
	}
	return string(plain[codeDigits:]), string(plain[:codeDigits]), nil
}

// CodesWithDigits returns the ids of the codes drawn for this number of late that have these digits. Whether one of them
// still counts, the log says. Digits are compared in constant time.
func (v *Vault) CodesWithDigits(ctx context.Context, phone events.PhoneIndex, digits string) ([]string, error) {
	rows, err := v.pool.Query(ctx, `select id::text, sealed from vault_codes where phone = $1`, phone)
	if err != nil {
		return nil, fmt.Errorf("read codes: %w", err)
	}
	var (
		ids    []string
		id     string
		sealed []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &sealed}, func() error {
		plain, err := unseal(v.codes, sealed, id)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(plain[:codeDigits], []byte(digits)) == 1 {
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read codes: %w", err)
	}
	return ids, nil
}
