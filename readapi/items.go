package readapi

import (
	"context"
	"encoding/json"
	"fmt"

	"foof/events"
	"foof/internal/fault"
	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
)

// item is an item as the API shows it.
type item struct {
	ItemID       int64       `json:"itemid"`
	UUID         int64       `json:"uuid"`
	Title        string      `json:"title"`
	Type         int32       `json:"type"`
	Price        json.Number `json:"price"`
	ImgURL       string      `json:"imgurl"`
	Depreciation int32       `json:"depreciation"`
	Note         string      `json:"note"`
	Sold         int32       `json:"sold"`
	To           *int64      `json:"to"`
}

const itemColumns = `id, owner, title, type, price, imgurl, depreciation, note, sold, traded_to`

func scanItem(row pgx.CollectableRow) (item, error) {
	var (
		i     item
		price events.Price
	)
	err := row.Scan(&i.ItemID, &i.UUID, &i.Title, &i.Type, &price, &i.ImgURL, &i.Depreciation, &i.Note, &i.Sold, &i.To)
	i.Price = json.Number(price.Decimal())
	return i, err
}

func (a *API) items(ctx context.Context, sql string, args ...any) ([]item, error) {
	rows, err := a.Pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	found, err := pgx.AppendRows([]item{}, rows, scanItem)
	if err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	return found, nil
}

func (a *API) item(c *gin.Context) error {
	id, err := pathID(c, "itemid")
	if err != nil {
		return err
	}
	const sql = `select ` + itemColumns + ` from items where id = $1`
	found, err := a.items(c.Request.Context(), sql, id)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fault.ErrNone
	}
	web.Answer(c, struct {
		item
		web.Outcome
	}{found[0], web.Succeeded()})
	return nil
}

// published lists what somebody offered or looked for, whatever has become of it.
func (a *API) published(c *gin.Context) error {
	f, err := web.Form(c)
	if err != nil {
		return err
	}
	owner, s := f.ID("uuid"), web.SpanOf(f)
	if err := f.Err(); err != nil {
		return err
	}
	const sql = `select ` + itemColumns + ` from items where owner = $1 and id > $2 order by id limit $3`
	found, err := a.items(c.Request.Context(), sql, owner, s.After, s.Limit)
	if err != nil {
		return err
	}
	web.Answer(c, found)
	return nil
}

// finished lists what is sold or got, and was the caller's or came to the caller.
func (a *API) finished(c *gin.Context) error {
	f, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	s := web.SpanOf(f)
	if err := f.Err(); err != nil {
		return err
	}
	const sql = `
		select ` + itemColumns + ` from items
		where (owner = $1 or traded_to = $1) and sold in (2, -2) and id > $2
		order by id limit $3`
	found, err := a.items(c.Request.Context(), sql, user, s.After, s.Limit)
	if err != nil {
		return err
	}
	web.Answer(c, found)
	return nil
}
