package writeapi

import (
	"foof/commands"
	"foof/events"
	"foof/internal/form"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
)

const (
	maxTitle  = 255
	maxNote   = 10_000
	maxImgURL = 10_000
)

func (a *API) addItem(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	command := commands.PublishItem{
		Owner: user,
		Title: f.Text("title", 1, maxTitle),
		Type:  f.Int("type"),
		Price: events.Price(f.Price("price")),
		Sold:  events.Sold(f.Int("sold", form.OneOf(int32(events.ForSale), int32(events.Wanted)))),
	}
	if text := f.OptionalRawText("imgurl", 0, maxImgURL); text != nil {
		command.ImgURL = *text
	}
	if text := f.OptionalText("note", 0, maxNote); text != nil {
		command.Note = *text
	}
	if worn := f.OptionalInt("depreciation"); worn != nil {
		command.Depreciation = *worn
	}
	if err := f.Err(); err != nil {
		return err
	}
	ctx := c.Request.Context()
	if command.Item, err = a.Log.NextItem(ctx); err != nil {
		return err
	}
	facts, err := decide(ctx, a, user, command)
	if err != nil {
		return err
	}
	published, _ := facts[0].(events.ItemPublished) // where the request came before, under the number that it got then
	web.Answer(c, struct {
		web.Outcome

		ItemID events.ItemID `json:"itemid"`
	}{web.Succeeded(), published.Item})
	return nil
}

func (a *API) modifyItem(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	// Front ends in use spell depreciation as the old document does.
	depreciation := f.OptionalInt("depreciatione")
	if f.Has("depreciation") {
		depreciation = f.OptionalInt("depreciation")
	}
	command := commands.ModifyItem{User: user, Changes: events.ItemModified{
		Item:         events.ItemID(f.ID("itemid")),
		Title:        f.OptionalText("title", 1, maxTitle),
		Type:         f.OptionalInt("type"),
		Price:        (*events.Price)(f.OptionalPrice("price")),
		ImgURL:       f.OptionalRawText("imgurl", 0, maxImgURL),
		Depreciation: depreciation,
		Note:         f.OptionalText("note", 0, maxNote),
		Sold: (*events.Sold)(f.OptionalInt("sold", form.OneOf(
			int32(events.ForSale), int32(events.SoldOut), int32(events.Wanted), int32(events.Obtained)))),
	}}
	if err := f.Err(); err != nil {
		return err
	}
	if err := execute(c.Request.Context(), a, user, command); err != nil {
		return err
	}
	web.Success(c)
	return nil
}

func (a *API) tradeItem(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	id := f.ID("itemid")
	if err := f.Err(); err != nil {
		return err
	}
	if err := execute(c.Request.Context(), a, user, commands.TradeItem{Item: events.ItemID(id), Buyer: user}); err != nil {
		return err
	}
	web.Success(c)
	return nil
}
