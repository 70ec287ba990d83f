package vault

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"foof/events"

	"github.com/google/uuid"
)

// NewTicket draws the token of a link for a user, and returns the id by which an event can name it. Tickets of more than two
// days ago are swept away.
func (v *Vault) NewTicket(ctx context.Context, user events.UserID) (string, error) {
	const sql = `
		with swept as (delete from vault_tickets where created_at < now() - interval '2 days')
		insert into vault_tickets (id, hash, user_id, sealed) values ($1, $2, $3, $4)`
	id, token := uuid.NewString(), rand.Text() // 130 bits, in letters and digits that a URL takes as they are
	if _, err := v.pool.Exec(ctx, sql, id, v.ticketHash(token), user, seal(v.tickets, []byte(token), id)); err != nil {
		return "", fmt.Errorf("store a ticket: %w", err)
	}
	return id, nil
}

// Ticket returns a ticket's token. It is pgx.ErrNoRows if the ticket is no more.
func (v *Vault) Ticket(ctx context.Context, id string) (token string, err error) {
	var sealed []byte
	if err := v.pool.QueryRow(ctx, `select sealed from vault_tickets where id = $1`, id).Scan(&sealed); err != nil {
		return "", fmt.Errorf("read ticket %s: %w", id, err)
	}
	plain, err := unseal(v.tickets, sealed, id)
	if err != nil {
		return "", fmt.Errorf("read ticket %s: %w", id, err)
	}
	return string(plain), nil
}

// TicketOf finds the ticket that has this token, which may be anything, and whose it is. Whether it still counts, the log
// says. It is pgx.ErrNoRows if there is none. Nobody learns a token from how long this takes: what is looked up is its hash.
func (v *Vault) TicketOf(ctx context.Context, token string) (id string, user events.UserID, err error) {
	const sql = `select id::text, user_id from vault_tickets where hash = $1`
	if err := v.pool.QueryRow(ctx, sql, v.ticketHash(token)).Scan(&id, &user); err != nil {
		return "", 0, fmt.Errorf("find a ticket: %w", err)
	}
	return id, user, nil
}

func (v *Vault) ticketHash(token string) []byte {
	mac := hmac.New(sha256.New, v.ticketIndex)
	mac.Write([]byte(token))
	return mac.Sum(nil)
}
