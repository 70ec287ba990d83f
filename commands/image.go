package commands

import (
	"fmt"

	"foof/events"
	"foof/internal/fault"
)

// upload is what an upload's stream adds up to: whether there is one.
type upload struct{ recorded bool }

// Evolve applies the one event of an upload.
func (u upload) Evolve(e events.Event) upload {
	if _, ok := e.(events.ImagesUploaded); ok {
		u.recorded = true
	}
	return u
}

// RecordUpload notes who put which pictures there. They are stored already, and its id is new.
type RecordUpload events.ImagesUploaded

// Streams is the new upload's.
func (c RecordUpload) Streams() []string { return []string{events.ImagesUploaded(c).Stream()} }

// Decide has only an id that is taken to refuse.
func (c RecordUpload) Decide(u upload) ([]events.Event, error) {
	if u.recorded {
		return nil, fmt.Errorf("the id of upload %s is taken", c.Upload)
	}
	return []events.Event{events.ImagesUploaded(c)}, nil
}

// ChangeAvatar gives a user another picture, which is stored already.
type ChangeAvatar events.UserAvatarChanged

// Streams is the user's.
func (c ChangeAvatar) Streams() []string { return []string{c.User.Stream()} }

// Decide names the picture, unless it is the user's already.
func (c ChangeAvatar) Decide(u user) ([]events.Event, error) {
	switch {
	case !u.registered:
		return nil, fault.ErrForbidden
	case c.AvatarURL == u.avatarURL:
		return nil, nil
	}
	return []events.Event{events.UserAvatarChanged(c)}, nil
}
