package vault

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// absent looks for secrets in the vault's tables, in clear, in hexadecimal or in base64.
func absent(t *testing.T, pool *pgxpool.Pool, secrets ...[]byte) {
	t.Helper()
	dump := strings.Join(rows[string](t, pool, `
		select k::text from vault_keys k union all select p::text from vault_passwords p union all select c::text from vault_codes c
		union all select i::text from vault_tickets i`), "\n")
	if dump == "" {
		t.Error("the tables are empty")
	}
	for _, secret := range secrets {
		for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.RawStdEncoding.EncodeToString(secret)} {
			if strings.Contains(dump, form) {
				t.Errorf("the tables hold %q:\n%s", form, dump)
			}
		}
	}
}

func newPassword(t *testing.T, v *Vault, password string) string {
	t.Helper()
	id, err := v.NewPassword(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	pool := service(t)
	v := open(t, pool)
	const password = "密码 correct horse 🐎"
	id := newPassword(t, v, password)

	t.Run("are checked", func(t *testing.T) {
		t.Parallel()
		other := newPassword(t, v, "another one")
		for name, c := range map[string]struct {
			id, password string
			want         bool
		}{
			"the right one":                        {id, password, true},
			"a wrong one":                          {id, "wrong horse", false},
			"one in other capitals":                {id, strings.ToUpper(password), false},
			"the right one and more":               {id, password + " ", false},
			"none":                                 {id, "", false},
			"that of somebody else":                {other, password, false},
			"one of an id that there is not":       {uuid.NewString(), password, false},
			"one of nobody":                        {"", password, false},
			"none of nobody":                       {"", "", false},
			"what the decoy is made of, of nobody": {"", v.decoy, false},
		} {
			if got, err := v.CheckPassword(t.Context(), c.id, c.password); err != nil || got != c.want {
				t.Errorf("%s: %t, %v, want %t", name, got, err, c.want)
			}
		}
	})

	t.Run("are hashed as OWASP asks, each with a salt of its own", func(t *testing.T) {
		t.Parallel()
		again := newPassword(t, v, password)
		hashes := rows[string](t, pool, `select hash from vault_passwords where id = any($1)`, []string{id, again})
		form := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
		for _, hash := range append(hashes, v.decoy) { // the decoy costs as much
			if !form.MatchString(hash) {
				t.Errorf("a hash is %s", hash)
			}
		}
		if len(hashes) != 2 || hashes[0] == hashes[1] {
			t.Errorf("the same password twice is %v", hashes)
		}
		absent(t, pool, []byte(password))
	})

	t.Run("of any length are taken", func(t *testing.T) {
		t.Parallel()
		for _, password := range []string{"", strings.Repeat("密", 128), "\x00"} {
			if ok, err := v.CheckPassword(t.Context(), newPassword(t, v, password), password); err != nil || !ok {
				t.Errorf("%q: %t, %v", password, ok, err)
			}
		}
	})

	t.Run("that cannot be read are not wrong ones", func(t *testing.T) {
		t.Parallel()
		if ok, err := v.CheckPassword(t.Context(), "no uuid", password); err == nil || ok {
			t.Errorf("it is %t, %v", ok, err)
		}
	})
}

func TestPasswordsAreHashedAFewAtATime(t *testing.T) {
	t.Parallel()
	v := open(t, service(t))
	places := runtime.GOMAXPROCS(0)
	var (
		all      sync.WaitGroup
		mu       sync.Mutex
		at, most int
		full     = make(chan struct{})
	)
	for range 4 * places {
		all.Go(func() {
			err := v.whileHashing(patience(t), func() error {
				mu.Lock()
				at++
				most = max(most, at)
				if at == places {
					select {
					case <-full:
					default:
						close(full)
					}
				}
				mu.Unlock()
				<-full // until all places are taken
				mu.Lock()
				at--
				mu.Unlock()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most != places {
		t.Errorf("%d were hashed at once, want %d", most, places)
	}

	for range places {
		v.hashing <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.NewPassword(ctx, "password"); !errors.Is(err, context.Canceled) {
		t.Errorf("who no longer waits for a place gets %v", err)
	}
	for range places {
		<-v.hashing
	}
	newPassword(t, v, "password")
}

func newCode(t *testing.T, v *Vault, number string) (id, digits string) {
	t.Helper()
	id, err := v.NewCode(t.Context(), v.PhoneIndex(number), number)
	if err != nil {
		t.Fatal(err)
	}
	got, digits, err := v.Code(t.Context(), id)
	if err != nil || got != number {
		t.Fatalf("code %s is for %q, %v", id, got, err)
	}
	return id, digits
}

func TestCodes(t *testing.T) {
	t.Parallel()
	const number, other = "+8613800138000", "+8613900139000"
	matching := func(t *testing.T, v *Vault, number, digits string) []string {
		t.Helper()
		ids, err := v.CodesWithDigits(t.Context(), v.PhoneIndex(number), digits)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}

	t.Run("have six digits, drawn each time", func(t *testing.T) {
		t.Parallel()
		v := open(t, service(t))
		drawn := map[string]bool{}
		for range 20 {
			_, digits := newCode(t, v, number)
			if !regexp.MustCompile(`^[0-9]{6}$`).MatchString(digits) {
				t.Errorf("a code is %q", digits)
			}
			drawn[digits] = true
		}
		if len(drawn) < 18 {
			t.Errorf("20 draws gave %d codes", len(drawn))
		}
	})

	t.Run("are found by their digits, for that number only", func(t *testing.T) {
		t.Parallel()
		v := open(t, service(t))
		first, digits := newCode(t, v, number)
		var same, others []string
		for range 3 { // a code for the same number, and one for another, with the same digits
			same = append(same, codeOf(t, v, number, digits))
			others = append(others, codeOf(t, v, other, digits))
		}
		sorted := cmpopts.SortSlices(strings.Compare)
		for name, c := range map[string]struct {
			number, digits string
			want           []string
		}{
			"the right digits":      {number, digits, append(slices.Clip(same), first)},
			"of the other number":   {other, digits, others},
			"of an unknown number":  {"+8613700137000", digits, nil},
			"other digits":          {number, otherDigits(digits), nil},
			"fewer digits":          {number, digits[:5], nil},
			"more digits":           {number, digits + "0", nil},
			"no digits":             {number, "", nil},
			"digits and the number": {number, digits + number, nil},
			"digits in full width":  {number, fullWidth(digits), nil},
			"a word":                {number, "' or true", nil},
			"a NUL":                 {number, "\x00", nil},
		} {
			if diff := cmp.Diff(c.want, matching(t, v, c.number, c.digits), sorted, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})

	t.Run("that there are not are pgx.ErrNoRows", func(t *testing.T) {
		t.Parallel()
		if _, _, err := open(t, service(t)).Code(t.Context(), uuid.NewString()); !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("it is %v", err)
		}
	})

	t.Run("of more than a day ago are swept away with the next one", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		old, digits := newCode(t, v, number)
		recent, _ := newCode(t, v, other)
		exec(t, pool, `update vault_codes set created_at = now() - interval '1 day 1 second' where id = $1`, old)
		exec(t, pool, `update vault_codes set created_at = now() - interval '23 hours 59 minutes' where id = $1`, recent)
		if ids := matching(t, v, number, digits); !slices.Contains(ids, old) {
			t.Error("it was swept before its time")
		}
		newCode(t, v, other)
		if _, _, err := v.Code(t.Context(), old); !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("the old one is %v", err)
		}
		if ids := matching(t, v, number, digits); len(ids) > 0 {
			t.Errorf("the old one still matches: %v", ids)
		}
		if _, _, err := v.Code(t.Context(), recent); err != nil {
			t.Errorf("the recent one is %v", err)
		}
	})

	t.Run("cannot be moved to another id", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		mine, _ := newCode(t, v, number)
		theirs, digits := newCode(t, v, number)
		exec(t, pool, `update vault_codes set sealed = (select sealed from vault_codes where id = $1) where id = $2`, mine, theirs)
		if _, _, err := v.Code(t.Context(), theirs); err == nil || errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("it is %v", err)
		}
		if _, err := v.CodesWithDigits(t.Context(), v.PhoneIndex(number), digits); err == nil {
			t.Error("it was compared")
		}
	})

	t.Run("are not in the tables in clear, nor is the number", func(t *testing.T) {
		t.Parallel()
		pool := service(t)
		v := open(t, pool)
		_, digits := newCode(t, v, number)
		// Six digits alone would be found by chance, in a time or a hash.
		absent(t, pool, []byte(number), []byte(number[1:]), []byte(digits+number))
		for _, sealed := range rows[[]byte](t, pool, `select sealed from vault_codes`) {
			if strings.Contains(string(sealed), digits) {
				t.Error("the digits are in clear")
			}
		}
	})
}

// codeOf makes a code with these digits, as chance would in the end.
func codeOf(t *testing.T, v *Vault, number, digits string) string {
	t.Helper()
	id := uuid.NewString()
	exec(t, v.pool, `insert into vault_codes (id, phone, sealed) values ($1, $2, $3)`,
		id, v.PhoneIndex(number), seal(v.codes, []byte(digits+number), id))
	return id
}

func otherDigits(digits string) string {
	return strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, digits)
}

func fullWidth(digits string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '０' }, digits)
}
