package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// hashParams are what OWASP's Password Storage Cheat Sheet asks of Argon2id at least: 19 MiB, two passes, one lane.
func hashParams() *argon2id.Params {
	return &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// NewPassword stores the Argon2id hash of a password, and returns the id by which an event can name it.
func (v *Vault) NewPassword(ctx context.Context, password string) (string, error) {
	var hash string
	err := v.whileHashing(ctx, func() (err error) {
		hash, err = argon2id.CreateHash(password, hashParams())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	id := uuid.NewString()
	if _, err := v.pool.Exec(ctx, `insert into vault_passwords (id, hash) values ($1, $2)`, id, hash); err != nil {
		return "", fmt.Errorf("store a password: %w", err)
	}
	return id, nil
}

// CheckPassword tells whether this is the password behind id. It takes as long for an id that there is not, such as "",
// as for a wrong password.
func (v *Vault) CheckPassword(ctx context.Context, id, password string) (bool, error) {
	hash := v.decoy
	stored := true
	err := v.pool.QueryRow(ctx, `select hash from vault_passwords where id = nullif($1, '')::uuid`, id).Scan(&hash)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		stored = false
	case err != nil:
		return false, fmt.Errorf("read a password: %w", err)
	}
	var match bool
	err = v.whileHashing(ctx, func() (err error) {
		match, err = argon2id.ComparePasswordAndHash(password, hash)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("check a password: %w", err)
	}
	return match && stored, nil
}

func (v *Vault) whileHashing(ctx context.Context, hash func() error) error {
	select {
	case v.hashing <- struct{}{}:
		defer func() { <-v.hashing }()
		return hash()
	case <-ctx.Done():
		return ctx.Err()
	}
}
