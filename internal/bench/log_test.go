package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"foof/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, nil) }

func TestX(t *testing.T) {
	t.Parallel()
	r, err := Log(t.Context(), LogOptions{DatabaseURL: pgtest.DSN(t), Duration: 200 * time.Millisecond, Rounds: 2, Events: 5000}, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_ = r.WriteTable(&b)
	t.Log("\n" + b.String())
	j, err := json.Marshal(r)
	t.Log(string(j), err, strings.Count(b.String(), "\n"))
}
