package projections

import (
	"strings"
	"testing"

	"foof/events"

	"github.com/google/go-cmp/cmp"
)

// TestParking gives item 2 an event that cannot be projected, between others that can.
func TestParking(t *testing.T) {
	t.Parallel()
	raw := func(kind string, schema int16, data string) events.Encoded {
		return events.Encoded{Stream: "item-2", Type: kind, Schema: schema, Data: []byte(data)}
	}
	for name, c := range map[string]struct {
		bad   events.Encoded
		error string
	}{
		"an unknown type":            {raw("item.burned", 1, `{}`), "unknown event type"},
		"a newer form":               {raw("item.modified", 2, `{"item":2}`), "newer form"},
		"an unknown member":          {raw("item.modified", 1, `{"item":2,"colour":"red"}`), "unknown object member"},
		"another type's data":        {raw("item.modified", 1, `[]`), "unmarshal JSON array"},
		"a price below nothing":      {raw("item.modified", 1, `{"item":2,"price":-1}`), "items_price_check"},
		"a state that there is not":  {raw("item.modified", 1, `{"item":2,"sold":7}`), "items_sold_check"},
		"text with a NUL":            {raw("item.modified", 1, `{"item":2,"note":"\u0000"}`), "22P05"},
		"a person who has no key":    {raw("user.profile_changed", 1, `{"user":404,"info":"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="}`), "user-404 has no key"},
		"personal data from nowhere": {raw("user.profile_changed", 1, `{"user":7,"info":"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="}`), "open personal data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			p := d.process(t, "items")
			p.append(t, published(1, "one"), published(2, "two")) // 1, 2
			p.appendRaw(t, c.bad)                                 // 3
			head := p.append(t, events.ItemModified{Item: 1, Title: new("one anew")},
				events.ItemModified{Item: 2, Title: new("two anew")}, published(3, "three")) // 4, 5, 6

			stop := p.project(t, All[1])
			p.await(t, head)
			d.titles(t, "one anew", "two", "three")
			d.stands(t, "items", head)
			d.parkedAlone(t, "item-2", 3, c.error)

			// In pages to come, and after a restart, it is left out too.
			p.await(t, p.append(t, events.ItemModified{Item: 2, Title: new("two again")}, events.ItemModified{Item: 3, Title: new("three anew")}))
			stop()
			p.project(t, All[1])
			head = p.append(t, events.ItemTraded{Item: 2, Buyer: 9, Sold: events.SoldOut}, events.ItemModified{Item: 1, Title: new("one again")})
			p.await(t, head)
			d.titles(t, "one again", "two", "three anew")
			d.stands(t, "items", head)
			d.parkedAlone(t, "item-2", 3, c.error)
		})
	}
}

func (d *database) titles(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, rows[string](t, d.owner, `select title from items order by id`)); diff != "" {
		t.Errorf("titles (-want +got):\n%s", diff)
	}
}

// parkedAlone checks that one stream is parked, and why.
func (d *database) parkedAlone(t *testing.T, stream string, position events.Position, why string) {
	t.Helper()
	got := d.parked(t)
	if len(got) != 1 || got[0].Stream != stream || got[0].Position != position || !strings.Contains(got[0].Error, why) {
		t.Errorf("parked is %+v, want %s at %d because of %q", got, stream, position, why)
	}
}

func TestEveryProjectorParksWhatNobodyCanRead(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	p := d.process(t, Names()...)
	for _, projector := range All {
		p.project(t, projector)
	}
	p.await(t, p.appendRaw(t, events.Encoded{Stream: "ship-1", Type: "ship.sunk", Schema: 1, Data: []byte(`{}`)}))
	var readers []string
	for _, one := range d.parked(t) {
		readers = append(readers, one.Reader)
	}
	if diff := cmp.Diff([]string{"favorites", "items", "messages", "users"}, readers); diff != "" {
		t.Errorf("parked by (-want +got):\n%s", diff)
	}
}

func TestSeveralStreamsAreParked(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	p := d.process(t, "items")
	p.append(t, published(1, "one"), published(2, "two"), published(3, "three"))
	head := p.append(t,
		events.ItemModified{Item: 1, Price: new(events.Price(-1))}, // 4
		events.ItemModified{Item: 2, Price: new(events.Price(-2))}, // 5
		events.ItemModified{Item: 1, Price: new(events.Price(-3))}, // 6
		events.ItemModified{Item: 3, Title: new("three anew")},     // 7
	)
	p.project(t, All[1])
	p.await(t, head)
	d.titles(t, "one", "two", "three anew")
	got := map[string]events.Position{}
	for _, one := range d.parked(t) {
		got[one.Stream] = one.Position
	}
	if diff := cmp.Diff(map[string]events.Position{"item-1": 4, "item-2": 5}, got); diff != "" {
		t.Errorf("parked (-want +got):\n%s", diff)
	}
	d.stands(t, "items", head)
}

func TestSecondUserOfANumberIsParked(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	p := d.process(t, "users")
	p.project(t, All[0])
	register := func(user events.UserID, phone events.PhoneIndex) events.UserRegistered {
		as := events.NewPrivate
		return events.UserRegistered{
			User: user, Phone: as("1"), PhoneIndex: phone, Password: "d2719c5b-5b3e-4d64-9a0f-1f6f3e0a9b77", Username: as("a"), Info: as("b"),
		}
	}
	p.await(t, p.append(t, register(1, "a"), register(2, "a"), register(3, "c")))
	if diff := cmp.Diff([]int64{1, 3}, rows[int64](t, d.owner, `select id from users order by id`)); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	d.parkedAlone(t, "user-2", 2, "users_phone_index_key")
}
