// Package openapi serves the description of the API: as OpenAPI 3.1 in JSON, and as a page to read.
package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"foof/internal/fault"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/goccy/go-yaml"
	"github.com/swaggest/swgui/v5/static"
)

//go:embed openapi.yaml
var description []byte

//go:embed docs.html docs.js
var own embed.FS

// Document is the description, in JSON.
func Document() ([]byte, error) {
	document, err := yaml.YAMLToJSON(description)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return document, nil
}

// policy lets the page have what this service serves, and nothing else. (Swagger UI draws with data: URLs.)
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is something that is served as it is.
type file struct {
	kind string // its Content-Type
	data []byte
	etag string

	gzipped bool // data is
}

func newFile(kind string, data []byte) file {
	sum := sha256.Sum256(data)
	return file{kind: kind, data: data, etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// Routes prepares the routes of the description and its page. What they serve is part of the program, so that the page needs no
// other host.
func Routes() (func(gin.IRouter), error) {
	document, err := Document()
	if err != nil {
		return nil, err
	}
	page, err := own.ReadFile("docs.html")
	if err != nil {
		return nil, fmt.Errorf("docs: %w", err)
	}
	parts, err := readParts()
	if err != nil {
		return nil, err
	}
	inJSON := newFile("application/json; charset=utf-8", document)
	html := newFile("text/html; charset=utf-8", page)
	return func(r gin.IRouter) {
		r.GET("/openapi.json", web.Handle(inJSON.serve))
		r.GET("/docs", web.Handle(func(c *gin.Context) error {
			c.Header("Content-Security-Policy", policy)
			c.Header("Referrer-Policy", "no-referrer")
			return html.serve(c)
		}))
		r.GET("/docs/:file", web.Handle(func(c *gin.Context) error {
			part, ok := parts[c.Param("file")]
			if !ok {
				return fault.ErrNotFound
			}
			return part.serve(c)
		}))
	}, nil
}

// partKinds are the files that the page consists of. Those that are not ours are Swagger UI's, and have been compressed by its
// packager, but for pictures.
var partKinds = map[string]string{
	"docs.js":              "text/javascript; charset=utf-8",
	"swagger-ui-bundle.js": "text/javascript; charset=utf-8",
	"swagger-ui.css":       "text/css; charset=utf-8",
	"favicon-32x32.png":    "image/png",
}

func readParts() (map[string]file, error) {
	parts := map[string]file{}
	for name, kind := range partKinds {
		data, err := own.ReadFile(name)
		if err == nil {
			parts[name] = newFile(kind, data)
			continue
		}
		if data, err = static.FS.ReadFile(name); err == nil {
			parts[name] = newFile(kind, data)
			continue
		}
		if data, err = static.FS.ReadFile(name + ".gz"); err != nil {
			return nil, fmt.Errorf("docs: %w", err)
		}
		part := newFile(kind, data)
		part.gzipped = true
		parts[name] = part
	}
	return parts, nil
}

// serve answers with the file, or that it is as it was. It may be kept for five minutes before it is asked for again: a new
// version of the program shows soon.
func (f file) serve(c *gin.Context) error {
	content := io.ReadSeeker(bytes.NewReader(f.data))
	if f.gzipped {
		c.Header("Vary", "Accept-Encoding")
		if strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") {
			c.Header("Content-Encoding", "gzip")
		} else {
			plain, err := f.unzip()
			if err != nil {
				return err
			}
			content = bytes.NewReader(plain)
		}
	}
	c.Header("Content-Type", f.kind)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "public, max-age=300")
	c.Header("ETag", f.etag)
	c.Request.Header.Del("Range") // they are small, and parts of them are no use
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, content)
	return nil
}

func (f file) unzip() ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(f.data))
	if err != nil {
		return nil, fmt.Errorf("unzip: %w", err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("unzip: %w", err)
	}
	return plain, nil
}
