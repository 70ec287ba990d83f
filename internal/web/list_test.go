package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func TestList(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]string{
		"empty": {}, "of one": {"<b>&\u2028"}, "of two": {"a", "b"}, "of several pieces": {strings.Repeat("a", 3*piece), "b", strings.Repeat("c", piece)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := httptest.NewRecorder()
			c, _ := gin.CreateTestContext(answer)
			list := BeginList(c, "data")
			for _, entry := range entries {
				list.Add(entry)
			}
			if err := list.End(); err != nil {
				t.Fatal(err)
			}
			var got struct {
				Status string   `json:"status"`
				Data   []string `json:"data"`
			}
			err := json.Unmarshal(answer.Body.Bytes(), &got)
			if err != nil || got.Status != "success" || strings.Join(got.Data, ",") != strings.Join(entries, ",") || got.Data == nil ||
				answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("%v: %d %v %.200s", err, answer.Code, answer.Header(), answer.Body)
			}
		})
	}
	t.Run("that cannot be written says so, and is no whole answer", func(t *testing.T) {
		t.Parallel()
		answer := httptest.NewRecorder()
		c, _ := gin.CreateTestContext(answer)
		list := BeginList(c, "data")
		list.Add("a")
		list.Add(func() {})
		if err := list.End(); err == nil || json.Valid(answer.Body.Bytes()) {
			t.Errorf("%v: %s", err, answer.Body)
		}
	})
}
