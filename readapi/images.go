package readapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"time"

	"foof/internal/fault"
	"foof/internal/images"

	"github.com/gin-gonic/gin"
)

// Images opens pictures that were stored.
type Images interface {
	Open(ctx context.Context, album images.Album, name string, width int) (images.Image, error)
}

// sending is how long it may take to send an image, which is longer than a request may take otherwise: some are far away.
const sending = 5 * time.Minute

// image serves a picture or, with ?w=, its thumbnail of that width. What has a path of its own never changes.
func (a *API) image(c *gin.Context) error {
	width, err := thumbnailWidth(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), sending)
	defer cancel()
	image, err := a.Images.Open(ctx, images.Album(c.Param("album")), c.Param("name"), width)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.ErrNotFound
	}
	if err != nil {
		return err
	}
	defer image.Close()
	// Content-Security-Policy: whatever a browser takes it for, it runs nothing.
	for name, value := range map[string]string{
		"Cache-Control":           "public, max-age=86400",
		"Content-Disposition":     "inline",
		"Content-Security-Policy": "default-src 'none'; sandbox",
		"Content-Type":            image.Type,
		"ETag":                    strconv.Quote(image.Tag),
		"X-Content-Type-Options":  "nosniff",
	} {
		c.Header(name, value)
	}
	if image.Immutable {
		c.Header("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(c.Writer, c.Request, "", image.Modified, image)
	return nil
}

// thumbnailWidth is 0 if the picture itself is asked for.
func thumbnailWidth(c *gin.Context) (int, error) {
	text, asked := c.GetQuery("w")
	if !asked {
		return 0, nil
	}
	if width, err := strconv.Atoi(text); err == nil && slices.Contains(images.Widths[:], width) && text == strconv.Itoa(width) {
		return width, nil
	}
	return 0, fault.Invalid("w", fmt.Sprintf("must be %d or %d", images.Widths[0], images.Widths[1]))
}
