package writeapi

import (
	"context"
	"errors"
	"fmt"

	"foof/commands"
	"foof/events"
	"foof/internal/fault"
	"foof/internal/form"
	"foof/internal/images"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// Images makes pictures of what is uploaded, and keeps them.
type Images interface {
	Prepare(ctx context.Context, uploads ...[]byte) ([]images.Picture, error)
	Keep(ctx context.Context, album images.Album, pictures ...images.Picture) (paths []string, err error)
}

// noFile names what is missing where any name would do.
const noFile = "image"

// uploadImages keeps all pictures that were sent, or none.
func (a *API) uploadImages(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	paths, err := a.keep(c.Request.Context(), images.Items, f.Files())
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("draw an upload's id: %w", err)
	}
	command := commands.RecordUpload{Upload: id.String(), User: user, Images: paths, At: a.Now()}
	facts, err := decide(c.Request.Context(), a, user, command)
	if err != nil {
		return err
	}
	uploaded, _ := facts[0].(events.ImagesUploaded) // where the request came before, what it was told then
	answerPaths(c, uploaded.Images)
	return nil
}

func (a *API) changeAvatar(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	files := f.Files()
	if len(files) > 1 {
		return files[1].Invalid("is one file too many: an avatar is one image")
	}
	paths, err := a.keep(c.Request.Context(), images.Avatars, files)
	if err != nil {
		return err
	}
	command := commands.ChangeAvatar{User: user, AvatarURL: paths[0]}
	facts, err := decide(c.Request.Context(), a, user, command)
	if err != nil {
		return err
	}
	changed, _ := facts[0].(events.UserAvatarChanged) // there is one: the name is new
	answerPaths(c, []string{changed.AvatarURL})
	return nil
}

// keep stores the pictures before anything refers to them: an event never names one that is not there. One that no event comes
// to name lies there under a name that nobody knows.
func (a *API) keep(ctx context.Context, album images.Album, files []form.File) ([]string, error) {
	if len(files) == 0 {
		return nil, fault.Invalid(noFile, "is missing: send a file, as multipart/form-data")
	}
	uploads := make([][]byte, len(files))
	for i, file := range files {
		uploads[i] = file.Data
	}
	pictures, err := a.Images.Prepare(ctx, uploads...)
	if unfit, ok := errors.AsType[*images.UnfitError](err); ok {
		return nil, files[unfit.Index].Invalid(unfit.Why)
	}
	if err != nil {
		return nil, err
	}
	return a.Images.Keep(ctx, album, pictures...)
}

func answerPaths(c *gin.Context, paths []string) {
	web.Answer(c, struct {
		web.Outcome

		ImgURL []string `json:"imgurl"`
	}{web.Succeeded(), paths})
}
