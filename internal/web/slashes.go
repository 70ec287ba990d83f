package web

import (
	"net/http"
	"strings"
)

// Slashes lets paths of images be written as the API shows them, with backslashes between the parts, or with %5C, or mixed with
// slashes.
func Slashes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.ReplaceAll(r.URL.Path, `\`, "/")
		if path != r.URL.Path && strings.HasPrefix(path, "/image/") {
			changed, url := *r, *r.URL
			url.Path, url.RawPath = path, ""
			changed.URL = &url
			r = &changed
		}
		next.ServeHTTP(w, r)
	})
}
