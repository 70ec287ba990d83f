package events

import "time"

// ImagesUploaded: the user handed in pictures, which are kept under these names.
type ImagesUploaded struct {
	Upload string    `json:"upload"` // an id of its own
	User   UserID    `json:"user"`
	Images []string  `json:"images"`
	At     time.Time `json:"at"`
}

// Stream is the upload's.
func (e ImagesUploaded) Stream() string { return "upload-" + e.Upload }
