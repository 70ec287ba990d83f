package projections

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"foof/events"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"
)

// userView and itemView are rows as they should be.
type userView struct {
	ID                                    int64
	Phone, PhoneIndex, Password, Username string
	AvatarURL, Info, IDCard               string
	StudentID                             int32
	Address                               string
	Verified, Score                       int32
	TokensSince                           int64
}

type itemView struct {
	ID, Owner    int64
	Title        string
	Type         int32
	Price        int64
	ImgURL       string
	Depreciation int32
	Note         string
	Sold         int32
	TradedTo     *int64
}

type favoriteView struct{ ID, User, Item int64 }

type messageView struct {
	ID, Sender, Recipient int64
	Data                  string
	Position              int64
	CreatedAt             time.Time
	FetchedAt             *time.Time
}

// models is all read models.
type models struct {
	Users     []userView
	Items     []itemView
	Favorites []favoriteView
	Messages  []messageView
}

// expected is what a history should look like, worked out one event after the other.
func expected(past []events.Event) models {
	users, items := map[int64]userView{}, map[int64]itemView{}
	favorites, messages := map[int64]favoriteView{}, map[int64]messageView{}
	for i, e := range past {
		switch e := e.(type) {
		case events.UserRegistered:
			users[int64(e.User)] = userView{
				ID: int64(e.User), Phone: e.Phone.Text(), PhoneIndex: string(e.PhoneIndex), Password: e.Password,
				Username: e.Username.Text(), AvatarURL: e.AvatarURL, Info: e.Info.Text(), Score: int32(e.Score),
			}
		case events.UserProfileChanged:
			u := users[int64(e.User)]
			for field, to := range map[*string]events.Private{&u.Username: e.Username, &u.Info: e.Info, &u.IDCard: e.IDCard, &u.Address: e.Address} {
				if !to.IsZero() {
					*field = to.Text()
				}
			}
			users[int64(e.User)] = u
		case events.UserStudentIDChanged:
			u := users[int64(e.User)]
			number, _ := strconv.Atoi(e.StudentID.Text())
			u.StudentID, u.Verified = int32(number), 0
			users[int64(e.User)] = u
		case events.UserPasswordChanged:
			u := users[int64(e.User)]
			u.Password, u.TokensSince = e.Password, e.At.UnixMilli()
			users[int64(e.User)] = u
		case events.UserLoggedOut:
			u := users[int64(e.User)]
			u.TokensSince = e.At.UnixMilli()
			users[int64(e.User)] = u
		case events.UserAvatarChanged:
			u := users[int64(e.User)]
			u.AvatarURL = e.AvatarURL
			users[int64(e.User)] = u
		case events.UserVerified:
			u := users[int64(e.User)]
			u.Verified = 1
			users[int64(e.User)] = u
		case events.FavoriteAdded:
			favorites[int64(e.Favorite)] = favoriteView{int64(e.Favorite), int64(e.User), int64(e.Item)}
		case events.FavoriteRemoved:
			delete(favorites, int64(e.Favorite))
		case events.MessageSent:
			messages[int64(e.Message)] = messageView{
				ID: int64(e.Message), Sender: int64(e.From), Recipient: int64(e.To), Data: e.Text.Text(), Position: int64(i + 1), CreatedAt: e.At,
			}
		case events.MessageFetched:
			m := messages[int64(e.Message)]
			m.FetchedAt = &e.At
			messages[int64(e.Message)] = m
		case events.ItemPublished:
			items[int64(e.Item)] = itemView{
				ID: int64(e.Item), Owner: int64(e.Owner), Title: e.Title, Type: e.Type, Price: int64(e.Price), ImgURL: e.ImgURL,
				Depreciation: e.Depreciation, Note: e.Note, Sold: int32(e.Sold),
			}
		case events.ItemModified:
			i := items[int64(e.Item)]
			for field, to := range map[*string]*string{&i.Title: e.Title, &i.ImgURL: e.ImgURL, &i.Note: e.Note} {
				if to != nil {
					*field = *to
				}
			}
			for field, to := range map[*int32]*int32{&i.Type: e.Type, &i.Depreciation: e.Depreciation, &i.Sold: (*int32)(e.Sold)} {
				if to != nil {
					*field = *to
				}
			}
			if e.Price != nil {
				i.Price = int64(*e.Price)
			}
			items[int64(e.Item)] = i
		case events.ItemTraded:
			i := items[int64(e.Item)]
			i.Sold, i.TradedTo = int32(e.Sold), new(int64(e.Buyer))
			items[int64(e.Item)] = i
		}
	}
	return models{
		Users: slices.SortedFunc(maps.Values(users), func(a, b userView) int { return int(a.ID - b.ID) }),
		Items: slices.SortedFunc(maps.Values(items), func(a, b itemView) int { return int(a.ID - b.ID) }),

		Favorites: slices.SortedFunc(maps.Values(favorites), func(a, b favoriteView) int { return int(a.ID - b.ID) }),
		Messages:  slices.SortedFunc(maps.Values(messages), func(a, b messageView) int { return int(a.ID - b.ID) }),
	}
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// stored reads the tables.
func stored(ctx context.Context, db querier) (m models, err error) {
	const (
		users = `
			select id, phone, phone_index, password::text, username, avatarurl, info, idcard, studentid, address, verified, score, tokens_since
			from users order by id`
		favorites = `select id, user_id, item from favorites order by id`
		messages  = `
			select id, sender, recipient, data, position, created_at at time zone 'UTC', fetched_at at time zone 'UTC'
			from messages order by id`
		items = `select id, owner, title, type, price, imgurl, depreciation, note, sold, traded_to from items order by id`
	)
	found, err := db.Query(ctx, users)
	if err != nil {
		return m, err
	}
	if m.Users, err = pgx.CollectRows(found, pgx.RowToStructByPos[userView]); err != nil {
		return m, err
	}
	if found, err = db.Query(ctx, items); err != nil {
		return m, err
	}
	if m.Items, err = pgx.CollectRows(found, pgx.RowToStructByPos[itemView]); err != nil {
		return m, err
	}
	if found, err = db.Query(ctx, favorites); err != nil {
		return m, err
	}
	if m.Favorites, err = pgx.CollectRows(found, pgx.RowToStructByPos[favoriteView]); err != nil {
		return m, err
	}
	if found, err = db.Query(ctx, messages); err != nil {
		return m, err
	}
	m.Messages, err = pgx.CollectRows(found, pgx.RowToStructByPos[messageView])
	return m, err
}

// history draws what several users do to several items, and to themselves, in an order in which it can happen.
type history struct {
	t     *rapid.T
	past  []events.Event
	users []events.UserID
	items []events.ItemPublished // as they read now
	done  map[events.ItemID]bool // traded

	favorites []events.FavoriteAdded // of now and of before
	kept      map[events.FavoriteID]bool
	messages  []events.MessageSent
}

var (
	text = rapid.Map(
		rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", `"\`, "<b>&\u2028", "新手咸鱼人员", "🐟", "null", "{}"})),
		func(s string) string { return strings.ReplaceAll(s, "\x00", "") },
	)
	private = rapid.Map(text, events.NewPrivate)
	maybe   = rapid.OneOf(private, rapid.Just(events.Private{}))
	hash    = rapid.Custom(func(t *rapid.T) string {
		return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "hash")).String()
	})
	price = rapid.Custom(func(t *rapid.T) events.Price {
		return events.Price(rapid.Int64Range(0, int64(events.MaxPrice)).Draw(t, "price"))
	})
	offer    = rapid.SampledFrom([]events.Sold{events.ForSale, events.Wanted})
	anyState = rapid.SampledFrom([]events.Sold{events.ForSale, events.SoldOut, events.Wanted, events.Obtained})
)

// histories draws them.
var histories = rapid.Custom(func(t *rapid.T) []events.Event {
	h := &history{t: t, done: map[events.ItemID]bool{}, kept: map[events.FavoriteID]bool{}}
	steps := []func(){
		h.register, h.changeProfile, h.changeStudentID, h.changePassword, h.logOut, h.changeAvatar, h.verify,
		h.publish, h.modify, h.modify, h.trade, h.requestCode, h.addFavorite, h.removeFavorite, h.send, h.fetch,
	}
	for range rapid.IntRange(0, 40).Draw(t, "steps") {
		steps[rapid.IntRange(0, len(steps)-1).Draw(t, "step")]()
	}
	return h.past
})

func (h *history) add(e events.Event) { h.past = append(h.past, e) }

func (h *history) user() (events.UserID, bool) {
	if len(h.users) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(h.users).Draw(h.t, "user"), true
}

func (h *history) register() {
	id := events.UserID(len(h.users) + 1)
	h.users = append(h.users, id)
	h.add(events.UserRegistered{
		User: id, Phone: private.Draw(h.t, "phone"), PhoneIndex: events.PhoneIndex("index of " + id.Stream()), Password: hash.Draw(h.t, "password"),
		Username: private.Draw(h.t, "username"), AvatarURL: text.Draw(h.t, "avatar"), Info: private.Draw(h.t, "info"),
		Score: int(rapid.Int32().Draw(h.t, "score")),
	})
}

func (h *history) changeProfile() {
	if user, ok := h.user(); ok {
		h.add(events.UserProfileChanged{
			User: user, Username: maybe.Draw(h.t, "username"), Info: maybe.Draw(h.t, "info"), IDCard: maybe.Draw(h.t, "idcard"),
			Address: maybe.Draw(h.t, "address"),
		})
	}
}

func (h *history) changeStudentID() {
	if user, ok := h.user(); ok {
		number := strconv.Itoa(int(rapid.Int32Range(0, 1<<31-1).Draw(h.t, "number")))
		h.add(events.UserStudentIDChanged{User: user, StudentID: events.NewPrivate(number)})
	}
}

func (h *history) changePassword() {
	if user, ok := h.user(); ok {
		at := time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(h.t, "at")).UTC()
		h.add(events.UserPasswordChanged{User: user, Password: hash.Draw(h.t, "password"), At: at})
	}
}

// moment is a time as PostgreSQL keeps it.
var moment = rapid.Custom(func(t *rapid.T) time.Time {
	return time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at")).UTC()
})

func (h *history) logOut() {
	if user, ok := h.user(); ok {
		h.add(events.UserLoggedOut{User: user, At: moment.Draw(h.t, "at")})
	}
}

func (h *history) changeAvatar() {
	if user, ok := h.user(); ok {
		h.add(events.UserAvatarChanged{User: user, AvatarURL: text.Draw(h.t, "avatar")})
	}
}

func (h *history) verify() {
	if user, ok := h.user(); ok {
		h.add(events.UserVerified{User: user, Ticket: "ticket"})
	}
}

func (h *history) addFavorite() {
	user, ok := h.user()
	if !ok || len(h.items) == 0 {
		return
	}
	e := events.FavoriteAdded{
		Favorite: events.FavoriteID(len(h.favorites) + 1), User: user,
		Item: events.ItemID(rapid.IntRange(1, len(h.items)).Draw(h.t, "item")),
	}
	for _, other := range h.favorites {
		if h.kept[other.Favorite] && other.User == e.User && other.Item == e.Item {
			return
		}
	}
	h.favorites, h.kept[e.Favorite] = append(h.favorites, e), true
	h.add(e)
}

func (h *history) removeFavorite() {
	if len(h.favorites) == 0 {
		return
	}
	e := rapid.SampledFrom(h.favorites).Draw(h.t, "favorite")
	if h.kept[e.Favorite] {
		h.kept[e.Favorite] = false
		h.add(events.FavoriteRemoved(e))
	}
}

func (h *history) send() {
	from, ok := h.user()
	to, _ := h.user()
	if ok {
		e := events.MessageSent{
			Message: events.MessageID(len(h.messages) + 1), From: from, To: to, Text: private.Draw(h.t, "text"), At: moment.Draw(h.t, "at"),
		}
		h.messages = append(h.messages, e)
		h.add(e)
	}
}

func (h *history) fetch() {
	if len(h.messages) == 0 {
		return
	}
	i := rapid.IntRange(0, len(h.messages)-1).Draw(h.t, "message")
	if e := h.messages[i]; e.To != 0 {
		h.messages[i].To = 0 // is fetched
		h.add(events.MessageFetched{Message: e.Message, By: e.To, At: moment.Draw(h.t, "at")})
	}
}

func (h *history) publish() {
	if user, ok := h.user(); ok {
		e := events.ItemPublished{
			Item: events.ItemID(len(h.items) + 1), Owner: user, Title: text.Draw(h.t, "title"), Type: rapid.Int32().Draw(h.t, "type"),
			Price: price.Draw(h.t, "price"), ImgURL: text.Draw(h.t, "imgurl"), Depreciation: rapid.Int32().Draw(h.t, "depreciation"),
			Note: text.Draw(h.t, "note"), Sold: offer.Draw(h.t, "sold"),
		}
		h.items = append(h.items, e)
		h.add(e)
	}
}

func (h *history) modify() {
	if len(h.items) == 0 {
		return
	}
	i := rapid.IntRange(0, len(h.items)-1).Draw(h.t, "item")
	number, words := rapid.Ptr(rapid.Int32(), true), rapid.Ptr(text, true)
	e := events.ItemModified{
		Item: h.items[i].Item, Title: words.Draw(h.t, "title"), Type: number.Draw(h.t, "type"), Price: rapid.Ptr(price, true).Draw(h.t, "price"),
		ImgURL: words.Draw(h.t, "imgurl"), Depreciation: number.Draw(h.t, "depreciation"), Note: words.Draw(h.t, "note"),
	}
	if !h.done[e.Item] {
		e.Sold = rapid.Ptr(anyState, true).Draw(h.t, "sold")
		set(&h.items[i].Sold, e.Sold)
	}
	h.add(e)
}

func (h *history) trade() {
	if len(h.items) == 0 {
		return
	}
	i := &h.items[rapid.IntRange(0, len(h.items)-1).Draw(h.t, "item")]
	buyer, _ := h.user()
	if buyer == i.Owner || i.Sold != events.ForSale && i.Sold != events.Wanted {
		return
	}
	i.Sold *= 2
	h.done[i.Item] = true
	h.add(events.ItemTraded{Item: i.Item, Buyer: buyer, Sold: i.Sold})
}

// requestCode is an event that is for no read model.
func (h *history) requestCode() {
	h.add(events.PhoneCodeRequested{Phone: "index", Code: "code"})
}

// cut cuts a history into pages of random sizes.
func cut(t *rapid.T, log []events.Recorded) (pages [][]events.Recorded) {
	for len(log) > 0 {
		n := rapid.IntRange(1, len(log)).Draw(t, "page")
		pages, log = append(pages, log[:n]), log[n:]
	}
	return pages
}

func TestProjectors(t *testing.T) {
	t.Parallel()
	pool := newDatabase(t).open(t, "foof_service")
	rapid.Check(t, func(t *rapid.T) {
		past := histories.Draw(t, "history")
		log := make([]events.Recorded, len(past))
		for i, e := range past {
			log[i] = events.Recorded{Position: events.Position(i + 1), Stream: e.Stream(), Event: e}
		}
		pages := cut(t, log)
		var twice [][]events.Recorded
		for _, page := range pages {
			twice = append(twice, page, page)
		}
		want := expected(past)
		for _, way := range []struct {
			name  string
			pages [][]events.Recorded
		}{
			{"in one page", [][]events.Recorded{log}},
			{"in several pages", pages},
			{"in several pages, each twice", twice},
			{"in several pages, and all of them again", slices.Concat(pages, pages)},
			{"event by event", slices.Collect(slices.Chunk(log, 1))},
		} {
			got, err := projected(t.Context(), pool, way.pages)
			if err != nil {
				t.Fatalf("%s: %v", way.name, err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", way.name, diff)
			}
		}
	})
}

// projected projects pages into empty tables, and leaves them empty.
func projected(ctx context.Context, pool *pgxpool.Pool, pages [][]events.Recorded) (m models, err error) {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return m, err
	}
	defer tx.Rollback(ctx)
	for i, page := range pages {
		for _, projector := range All {
			if err := projector.Project(ctx, tx, page); err != nil {
				return m, fmt.Errorf("%s, page %d of %d: %w", projector.Name, i+1, len(pages), err)
			}
		}
	}
	return stored(ctx, tx)
}
