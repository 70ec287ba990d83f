package vault

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"

	"foof/events"

	"github.com/google/go-cmp/cmp"
)

func TestOpen(t *testing.T) {
	t.Parallel()

	t.Run("by many at once makes the service's keys once", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		const many = 8
		var (
			all     sync.WaitGroup
			indexes [many]events.PhoneIndex
		)
		for n := range many {
			all.Go(func() {
				v, err := Open(t.Context(), pool, master)
				if err != nil {
					t.Error(err)
					return
				}
				indexes[n] = v.PhoneIndex("13800138000")
			})
		}
		all.Wait()
		for _, index := range indexes {
			if index != indexes[0] || index == "" {
				t.Fatalf("phone indexes differ: %v", indexes)
			}
		}
		if diff := cmp.Diff([]string{"answers", "codes", "phone-index", "request-index", "ticket-index", "tickets"}, rows[string](t, pool, `select name from vault_keys order by name`)); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
	})

	t.Run("under another master key is refused", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		open(t, pool)
		other := bytes.Clone(master)
		other[KeySize-1] ^= 1
		if v, err := Open(t.Context(), pool, other); !errors.Is(err, ErrWrongMaster) {
			t.Errorf("it is %v, %v", v, err)
		}
		open(t, pool) // and that has changed nothing
	})

	t.Run("under a key of another size is refused", func(t *testing.T) {
		t.Parallel()
		for _, size := range []int{0, 16, 31, 33} {
			if _, err := Open(t.Context(), nil, make([]byte, size)); err == nil {
				t.Errorf("%d bytes were taken", size)
			}
		}
	})

	t.Run("notices service keys that were swapped", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		open(t, pool)
		exec(t, pool, `update vault_keys set wrapped = (select wrapped from vault_keys other where other.name <> vault_keys.name order by name limit 1)`)
		if _, err := Open(t.Context(), pool, master); !errors.Is(err, ErrWrongMaster) {
			t.Errorf("it is %v", err)
		}
	})

	t.Run("of a database that is away says so", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		pool.Close()
		if _, err := Open(t.Context(), pool, master); err == nil || errors.Is(err, ErrWrongMaster) {
			t.Errorf("it is %v", err)
		}
	})
}

func TestPhoneIndex(t *testing.T) {
	t.Parallel()
	pool := service(t)
	v := open(t, pool)
	index := v.PhoneIndex("13800138000")
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(string(index)) {
		t.Errorf("it is %s", index)
	}
	for name, c := range map[string]struct {
		got  events.PhoneIndex
		same bool
	}{
		"of the same number":                     {v.PhoneIndex("13800138000"), true},
		"of the same number, when opened again":  {open(t, pool).PhoneIndex("13800138000"), true},
		"of another number":                      {v.PhoneIndex("13800138001"), false},
		"of the same number in another database": {open(t, service(t)).PhoneIndex("13800138000"), false},
	} {
		if (c.got == index) != c.same {
			t.Errorf("%s: %s, beside %s", name, c.got, index)
		}
	}
}

func keysOf(t *testing.T, v *Vault, users ...events.UserID) map[events.UserID][]byte {
	t.Helper()
	keys, err := v.Keys(t.Context(), users)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newUserKey(t *testing.T, v *Vault, users ...events.UserID) {
	t.Helper()
	for _, user := range users {
		if err := v.NewUserKey(t.Context(), user); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()

	t.Run("are one per user, and stay", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := v.NewUserKey(t.Context(), 7); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		newUserKey(t, v, 8)
		keys := keysOf(t, v, 7, 8)
		if len(keys[7]) != KeySize || len(keys[8]) != KeySize || bytes.Equal(keys[7], keys[8]) {
			t.Fatalf("keys of %d and %d bytes, the same: %t", len(keys[7]), len(keys[8]), bytes.Equal(keys[7], keys[8]))
		}
		newUserKey(t, v, 7)
		if diff := cmp.Diff(keys, keysOf(t, open(t, pool), 7, 8)); diff != "" {
			t.Error("another process finds other keys")
		}
	})

	t.Run("of nobody are none, and nothing is asked", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		pool.Close()
		if keys := keysOf(t, v); len(keys) != 0 {
			t.Errorf("%d keys", len(keys))
		}
	})

	t.Run("of who was erased are there, and of who never was are not", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		newUserKey(t, v, 7, 8)
		exec(t, pool, `update vault_keys set wrapped = null where name = 'user-8'`)
		for range 2 { // from the table, and from memory
			keys := keysOf(t, v, 7, 8, 9, 7)
			gone, there := keys[8]
			if _, known := keys[9]; len(keys) != 2 || keys[7] == nil || !there || gone != nil || known {
				t.Errorf("user 7 has a key: %t; user 8 has an entry: %t, and a key: %t; user 9 has an entry: %t",
					keys[7] != nil, there, gone != nil, known)
			}
		}
		newUserKey(t, v, 8)
		if keys := keysOf(t, v, 8); keys[8] != nil {
			t.Error("who was erased got another key")
		}
	})

	t.Run("are remembered", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		newUserKey(t, v, 7)
		keys := keysOf(t, v, 7)
		pool.Close()
		if diff := cmp.Diff(keys, keysOf(t, v, 7)); diff != "" {
			t.Errorf("(-first +again):\n%s", diff)
		}
		if _, err := v.Keys(t.Context(), []events.UserID{7, 8}); err == nil {
			t.Error("one that is not remembered was found without a database")
		}
	})

	t.Run("are remembered of a bounded number of users", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		for n := range cachedKeys + 1 {
			v.keys[events.UserID(1000+n)] = nil
		}
		newUserKey(t, v, 7)
		keysOf(t, v, 7)
		if n := len(v.keys); n != 1 {
			t.Errorf("%d keys are remembered", n)
		}
	})

	t.Run("that were swapped are refused", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		newUserKey(t, v, 7, 8)
		exec(t, pool, `update vault_keys set wrapped = (select wrapped from vault_keys where name = 'user-8') where name = 'user-7'`)
		if keys, err := v.Keys(t.Context(), []events.UserID{7}); !errors.Is(err, ErrWrongMaster) || !strings.Contains(err.Error(), "user-7") {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})

	t.Run("that were changed are refused", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		newUserKey(t, v, 7)
		exec(t, pool, `update vault_keys set wrapped = set_byte(wrapped, 0, get_byte(wrapped, 0) # 1) where name = 'user-7'`)
		if _, err := v.Keys(t.Context(), []events.UserID{7}); !errors.Is(err, ErrWrongMaster) {
			t.Errorf("it is %v", err)
		}
	})

	t.Run("are not in the tables in clear", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		newUserKey(t, v, 7)
		absent(t, pool, keysOf(t, v, 7)[7], v.phones, master)
	})

	t.Run("may be asked for by many at once", func(t *testing.T) {
		t.Parallel()
		v := open(t, service(t))
		newUserKey(t, v, 1, 2, 3, 4)
		var all sync.WaitGroup
		for n := range 16 {
			all.Go(func() {
				user := events.UserID(n%4 + 1)
				keys, err := v.Keys(t.Context(), []events.UserID{user, user%4 + 1})
				if err != nil || len(keys) != 2 {
					t.Errorf("%d keys, %v", len(keys), err)
				}
			})
		}
		all.Wait()
	})
}

func TestVaultSealsUnderItsKeysWhatTheLogCannotReadWithoutThem(t *testing.T) {
	t.Parallel()
	pool := service(t)
	v := open(t, pool)
	newUserKey(t, v, 7)
	event := events.UserStudentIDChanged{User: 7, StudentID: events.NewPrivate("20191234")}
	encoded, err := events.NewCodec(events.Types, v).Encode(t.Context(), []events.Event{event})
	if err != nil {
		t.Fatal(err)
	}
	read := func() (events.UserStudentIDChanged, error) {
		e := encoded[0]
		page := []events.Recorded{{Position: 1, Stream: e.Stream, Type: e.Type, Schema: e.Schema, Data: e.Data}}
		clear(v.keys) // as in a process that has not seen them
		err := events.NewCodec(events.Types, v).Decode(t.Context(), page)
		got, _ := page[0].Event.(events.UserStudentIDChanged)
		return got, err
	}
	if got, err := read(); err != nil || got.StudentID.Text() != "20191234" {
		t.Errorf("it is %q, %v", got.StudentID.Text(), err)
	}
	exec(t, pool, `update vault_keys set wrapped = null where name = 'user-7'`)
	if got, err := read(); err != nil || !got.StudentID.Erased() || got.StudentID.Text() != "" {
		t.Errorf("erased, it is %q, %v", got.StudentID.Text(), err)
	}
	exec(t, pool, `delete from vault_keys where name = 'user-7'`)
	if _, err := read(); !errors.As(err, new(*events.DecodeError)) {
		t.Errorf("without a key, it is %v", err)
	}
}
