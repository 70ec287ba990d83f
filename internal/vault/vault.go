// Package vault keeps what must never be in the log: keys, password hashes, verification codes and the tokens of links, in
// tables of their own.
// What is put in the vault means nothing until an event names it, so it is put there before that event is appended; if the
// event never comes, it is inert.
package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"foof/events"

	"github.com/alexedwards/argon2id"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// KeySize is the size in bytes of the master key and of all that it wraps.
const KeySize = 32

// ErrWrongMaster means that the vault was written under another master key.
var ErrWrongMaster = errors.New("the master key is not the one that this database was written with")

// Vault is safe for concurrent use.
type Vault struct {
	pool   *pgxpool.Pool
	master cipher.AEAD

	phones      []byte      // key of the hash that names phone numbers' streams
	codes       cipher.AEAD // seals verification codes
	ticketIndex []byte      // key of the hash that tickets are found by
	tickets     cipher.AEAD // seals their tokens
	answers     cipher.AEAD // seals answers that are kept
	requests    []byte      // key of the hash that the requests are known by that they answer

	hashing chan struct{} // a place for each password that is being hashed: each takes 19 MiB
	decoy   string        // a hash to compare with where there is none

	mu   sync.Mutex
	keys map[events.UserID][]byte
}

// Open opens the vault of a migrated database under the master key, and makes the service's own keys in a new one. Any
// number of processes may open a vault at once. It fails with ErrWrongMaster under another master key.
func Open(ctx context.Context, pool *pgxpool.Pool, master []byte) (*Vault, error) {
	wrapping, err := newGCM(master)
	if err != nil {
		return nil, err
	}
	decoy, err := argon2id.CreateHash(rand.Text(), hashParams())
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	v := &Vault{
		pool: pool, master: wrapping, decoy: decoy,
		hashing: make(chan struct{}, runtime.GOMAXPROCS(0)),
		keys:    map[events.UserID][]byte{},
	}
	if v.phones, err = v.serviceKey(ctx, "phone-index"); err != nil {
		return nil, err
	}
	if v.ticketIndex, err = v.serviceKey(ctx, "ticket-index"); err != nil {
		return nil, err
	}
	if v.requests, err = v.serviceKey(ctx, "request-index"); err != nil {
		return nil, err
	}
	if v.codes, err = v.serviceSeal(ctx, "codes"); err != nil {
		return nil, err
	}
	if v.tickets, err = v.serviceSeal(ctx, "tickets"); err != nil {
		return nil, err
	}
	if v.answers, err = v.serviceSeal(ctx, "answers"); err != nil {
		return nil, err
	}
	return v, nil
}

// PhoneIndex is the keyed hash that stands for a phone number in the log.
func (v *Vault) PhoneIndex(number string) events.PhoneIndex {
	mac := hmac.New(sha256.New, v.phones)
	mac.Write([]byte(number))
	return events.PhoneIndex(hex.EncodeToString(mac.Sum(nil)[:16]))
}

// RequestIndex is the keyed hash by which a request is known, of the sum of all that was asked. Without the key nobody can try
// which password was in it, which the sum alone would let them do a million times as fast as the hash of the password.
func (v *Vault) RequestIndex(sum [32]byte) []byte {
	mac := hmac.New(sha256.New, v.requests)
	mac.Write(sum[:])
	return mac.Sum(nil)
}

// SealAnswer seals an answer that is kept for a day, to be opened by the id of the command that it is the answer to.
func (v *Vault) SealAnswer(plain []byte, command string) []byte {
	return seal(v.answers, plain, command)
}

// OpenAnswer opens what SealAnswer sealed.
func (v *Vault) OpenAnswer(sealed []byte, command string) ([]byte, error) {
	plain, err := unseal(v.answers, sealed, command)
	if err != nil {
		return nil, fmt.Errorf("open the answer to command %s: %w", command, err)
	}
	return plain, nil
}

// NewUserKey makes the key that this user's personal data will be sealed under. A user has one key: where there is one
// already it stays.
func (v *Vault) NewUserKey(ctx context.Context, user events.UserID) error {
	return v.newKey(ctx, user.Stream())
}

// cachedKeys is how many users' keys are remembered at most.
const cachedKeys = 1 << 16

// Keys implements events.Keyring.
func (v *Vault) Keys(ctx context.Context, users []events.UserID) (map[events.UserID][]byte, error) {
	found := make(map[events.UserID][]byte, len(users))
	missing := make(map[string]events.UserID)
	names := make([]string, 0, len(users))
	v.mu.Lock()
	for _, user := range users {
		if key, ok := v.keys[user]; ok {
			found[user] = key
		} else {
			missing[user.Stream()] = user
			names = append(names, user.Stream())
		}
	}
	v.mu.Unlock()
	if len(missing) == 0 {
		return found, nil
	}

	rows, err := v.pool.Query(ctx, `select name, wrapped from vault_keys where name = any($1)`, names)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var (
		name    string
		wrapped []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &wrapped}, func() error {
		if wrapped == nil {
			found[missing[name]] = nil
			return nil
		}
		key, err := v.unwrap(name, wrapped)
		if err != nil {
			return err
		}
		found[missing[name]] = key
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}

	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.keys) > cachedKeys {
		clear(v.keys)
	}
	for _, user := range missing {
		if key := found[user]; key != nil {
			v.keys[user] = key
		}
	}
	return found, nil
}

func (v *Vault) serviceKey(ctx context.Context, name string) ([]byte, error) {
	if err := v.newKey(ctx, name); err != nil {
		return nil, err
	}
	var wrapped []byte
	if err := v.pool.QueryRow(ctx, `select wrapped from vault_keys where name = $1`, name).Scan(&wrapped); err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	return v.unwrap(name, wrapped)
}

func (v *Vault) serviceSeal(ctx context.Context, name string) (cipher.AEAD, error) {
	key, err := v.serviceKey(ctx, name)
	if err != nil {
		return nil, err
	}
	return newGCM(key)
}

func (v *Vault) newKey(ctx context.Context, name string) error {
	key := make([]byte, KeySize)
	rand.Read(key)
	const sql = `insert into vault_keys (name, wrapped) values ($1, $2) on conflict do nothing`
	if _, err := v.pool.Exec(ctx, sql, name, seal(v.master, key, name)); err != nil {
		return fmt.Errorf("make key %s: %w", name, err)
	}
	return nil
}

func (v *Vault) unwrap(name string, wrapped []byte) ([]byte, error) {
	key, err := unseal(v.master, wrapped, name)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, ErrWrongMaster)
	}
	return key, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("vault: a key has %d bytes, not %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal binds what it seals to a name, so that rows cannot be swapped.
func seal(gcm cipher.AEAD, plain []byte, name string) []byte {
	return gcm.Seal(nil, nil, plain, []byte(name)) //nolint:gosec // this GCM draws its nonces itself
}

func unseal(gcm cipher.AEAD, sealed []byte, name string) ([]byte, error) {
	return gcm.Open(nil, nil, sealed, []byte(name))
}
