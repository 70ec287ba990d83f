package writeapi

import (
	"context"
	"slices"

	"foof/commands"
	"foof/events"
	"foof/internal/form"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
)

const mostFavorites = 1000 // in one request

func (a *API) addFavorites(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	command := commands.AddFavorites{User: user, Items: itemsOf(f)}
	if err := f.Err(); err != nil {
		return err
	}
	ctx := c.Request.Context()
	if command.Unknown, err = a.unknown(ctx, command.Items); err != nil {
		return err
	}
	if len(command.Unknown) == 0 { // else it will be refused, and nothing is made ready for it
		if command.Numbers, err = a.Log.NextFavorites(ctx, len(command.Items)); err != nil {
			return err
		}
	}
	if err := execute(ctx, a, user, command); err != nil {
		return err
	}
	web.Success(c)
	return nil
}

func (a *API) removeFavorites(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	command := commands.RemoveFavorites{User: user, Items: itemsOf(f)}
	if err := f.Err(); err != nil {
		return err
	}
	if err := execute(c.Request.Context(), a, user, command); err != nil {
		return err
	}
	web.Success(c)
	return nil
}

func itemsOf(f *form.Form) []events.ItemID {
	var items []events.ItemID
	for _, id := range f.List("data", mostFavorites) {
		items = append(items, events.ItemID(id))
	}
	return items
}

// unknown is which of these items there are not, in their order.
func (a *API) unknown(ctx context.Context, items []events.ItemID) ([]events.ItemID, error) {
	streams := make([]string, len(items))
	for i, item := range items {
		streams[i] = item.Stream()
	}
	missing, err := a.Log.Missing(ctx, streams...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(items), func(item events.ItemID) bool {
		return !slices.Contains(missing, item.Stream())
	}), nil
}
