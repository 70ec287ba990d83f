// Package projections builds the read models: tables that hold what the log says, in the shape in which it is asked for.
//
// A projector takes the log in pages. It folds a page in memory and writes it set-wise, one statement per table, and its
// checkpoint moves in the same transaction. Rows hold what events say and never a change to what was there, so that a page
// that comes twice, or cut differently, gives the same rows.
package projections

import (
	"context"
	"encoding/json"
	"fmt"

	"foof/events"

	"github.com/jackc/pgx/v5"
)

// A Projector builds one read model.
type Projector struct {
	// Name is what its checkpoint goes by. It never changes.
	Name string
	// Project applies a page, all of it or nothing, within tx. It may be given again what it was given before.
	Project func(ctx context.Context, tx pgx.Tx, page []events.Recorded) error
}

// All is every read model in PostgreSQL.
var All = []Projector{
	{Name: "users", Project: users.project},
	{Name: "items", Project: items.project},
	{Name: "favorites", Project: favorites.project},
	{Name: "messages", Project: messages.project},
}

// Names lists the projectors' names.
func Names() []string {
	names := make([]string, len(All))
	for i, projector := range All {
		names[i] = projector.Name
	}
	return names
}

// table is a read model of one table. A Row has a JSON member for each column.
type table[ID comparable, Row any] struct {
	// load selects the rows, each as one JSON object, whose ids are in $1.
	load string
	// store inserts or replaces the rows in $1, a JSON list of them.
	store string
	// remove deletes the rows whose ids are in $1; needed if apply ever makes a row zero.
	remove string
	// subject tells which row an event is about, and false if it is not for this table.
	subject func(e events.Event) (ID, bool)
	// apply writes what an event says into its row, which is the zero Row if there is none yet, or none any more.
	apply func(row *Row, r *events.Recorded)
	// id is the row's own.
	id func(row *Row) ID
}

// project loads the rows that a page is about, applies its events to them in memory, and stores them.
func (t table[ID, Row]) project(ctx context.Context, tx pgx.Tx, page []events.Recorded) error {
	rows := map[ID]*Row{}
	var ids []ID
	for _, r := range page {
		if id, ok := t.subject(r.Event); ok && rows[id] == nil {
			rows[id] = new(Row)
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := tx.Query(ctx, t.load, ids)
	if err != nil {
		return fmt.Errorf("load rows: %w", err)
	}
	loaded, err := pgx.CollectRows(found, pgx.RowTo[Row])
	if err != nil {
		return fmt.Errorf("load rows: %w", err)
	}
	for i := range loaded {
		rows[t.id(&loaded[i])] = &loaded[i]
	}

	for i := range page {
		if id, ok := t.subject(page[i].Event); ok {
			t.apply(rows[id], &page[i])
		}
	}

	var (
		changed = make([]*Row, 0, len(ids))
		gone    []ID
		none    ID
	)
	for _, id := range ids {
		if t.id(rows[id]) == none {
			gone = append(gone, id)
		} else {
			changed = append(changed, rows[id])
		}
	}
	if len(gone) > 0 {
		if _, err := tx.Exec(ctx, t.remove, gone); err != nil {
			return fmt.Errorf("remove rows: %w", err)
		}
	}
	list, err := json.Marshal(changed)
	if err != nil {
		return fmt.Errorf("store rows: %w", err)
	}
	if _, err := tx.Exec(ctx, t.store, list); err != nil {
		return fmt.Errorf("store rows: %w", err)
	}
	return nil
}
