package readapi

import (
	"fmt"

	"foof/internal/web"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
)

// favorite is a favorite as the API shows it.
type favorite struct {
	ID     int64 `json:"id"`
	ItemID int64 `json:"itemid"`
	UUID   int64 `json:"uuid"`
}

func (a *API) favorites(c *gin.Context) error {
	_, user, err := a.Auth.Form(c)
	if err != nil {
		return err
	}
	const sql = `select id, item, user_id from favorites where user_id = $1 order by id`
	rows, err := a.Pool.Query(c.Request.Context(), sql, user)
	if err != nil {
		return fmt.Errorf("favorites: %w", err)
	}
	found, err := pgx.AppendRows([]favorite{}, rows, pgx.RowToStructByPos[favorite])
	if err != nil {
		return fmt.Errorf("favorites: %w", err)
	}
	web.Answer(c, struct {
		web.Outcome

		Res []favorite `json:"res"`
	}{web.Succeeded(), found})
	return nil
}
