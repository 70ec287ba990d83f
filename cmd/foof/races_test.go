package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"foof/internal/outbox"
	"foof/internal/pgtest"
)

const racers = 100

// fleet is two services over one database.
func fleet(t *testing.T) []*service {
	t.Helper()
	dsn, outbox := pgtest.DSN(t), &outbox.Outbox{} // whichever service sends a code, all show it
	services := make([]*service, 2)
	for i := range services {
		services[i] = start(t, over(dsn), func(s *setup) { s.outbox = outbox })
	}
	return services
}

// atOnce lets n begin at the same moment, and gives what they got, in order.
func atOnce[T any](n int, what func(i int) T) []T {
	var (
		got  = make([]T, n)
		gun  = make(chan struct{})
		done sync.WaitGroup
	)
	for i := range n {
		done.Go(func() {
			<-gun
			got[i] = what(i)
		})
	}
	close(gun)
	done.Wait()
	return got
}

// tally counts equal answers, and prints the counts.
func tally(t *testing.T, what string, answers []answer) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, a := range answers {
		counts[fmt.Sprintf("%d %s", a.status, strings.TrimSpace(a.body))]++
	}
	for _, outcome := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%s: %3d × %s", what, counts[outcome], outcome)
	}
	return counts
}

const (
	successful     = `200 {"status":"success"}`
	notForTrade    = `200 {"status":"failure","info":"item not availabe for trade"}`
	requestInvalid = `200 {"status":"failure","info":"invaild request"}`
	alreadyTraded  = `200 {"status":"failure","info":"item already traded"}`
)

func outcomes(t *testing.T, got, want map[string]int) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
}

// TestRaces has people race over one service, and over two on the same database.
func TestRaces(t *testing.T) {
	t.Parallel()
	services := fleet(t)
	crowd := services[0].crowd(t, racers)
	for n, name := range map[int]string{1: "on one service", 2: "on two services over one database"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := race{services: services[:n], crowd: crowd}
			for name, run := range map[string]func(*testing.T){
				"100 registrations of one number with one code": r.registrations,
				"100 wrong codes":                r.wrongCodes,
				"100 buyers of one item":         r.buyers,
				"100 buyers and the owner":       r.buyersAndOwner,
				"100 items of one user":          r.publishing,
				"25 changes of one account":      r.modifying,
				"the same change made six times": r.sameChange,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					run(t)
				})
			}
		})
	}
}

type race struct {
	services []*service
	crowd    []*person
}

// at is the service that the i-th request goes to.
func (r race) at(i int) *service { return r.services[i%len(r.services)] }

func (r race) registrations(t *testing.T) {
	t.Helper()
	s, number := r.at(0), newNumber()
	code := s.code(t, number)
	answers := atOnce(racers, func(i int) answer { return r.at(i).tryCode(t, number, code) })
	outcomes(t, tally(t, "registering", answers), map[string]int{successful: 1, requestInvalid: racers - 1})

	p := &person{service: s, number: number, password: "correct-horse"}
	p.login(t)
	if n := s.count(t, "user.registered", fmt.Sprintf("user-%d", p.id)); n != 1 {
		t.Errorf("%d registrations of user %d in the log", n, p.id)
	}
	if n := value[int](t, s.db, `select count(*) from events where type = 'phone.claimed' and (data ->> 'user')::bigint = $1`, p.id); n != 1 {
		t.Errorf("the number was claimed %d times", n)
	}
	if n := value[int](t, s.db, `select count(*) from users where phone = $1`, number); n != 1 {
		t.Errorf("%d accounts in the read model", n)
	}
	verifyLog(t, s.db)
}

func (r race) wrongCodes(t *testing.T) {
	t.Helper()
	s, number := r.at(0), newNumber()
	code := s.code(t, number)
	answers := atOnce(racers, func(i int) answer { return r.at(i).tryCode(t, number, another(code)) })
	outcomes(t, tally(t, "wrong codes", answers), map[string]int{requestInvalid: racers})

	const sql = `select count(*) from events r where type = 'phone.code_rejected'
		and stream = (select stream from events where type = 'phone.code_requested' and meta ->> 'correlation' = $1)`
	s.tryCode(t, number, code).failed(t, invalidRequest)
	fresh := s.post(t, "/user/requirecode", fields{"phonenumber": number})
	if n := value[int](t, s.db, sql, fresh.header.Get("X-Request-ID")); n != 5 {
		t.Errorf("%d rejections in the log, want 5", n)
	}
	s.tryCode(t, number, s.lastCode(t, number)).succeeded(t)
	verifyLog(t, s.db)
}

func (r race) buyers(t *testing.T) {
	t.Helper()
	s, owner := r.at(0), r.at(0).join(t)
	id := owner.add(t, powerBank())
	answers := atOnce(racers, func(i int) answer { return r.crowd[i].via(r.at(i)).trade(t, id) })
	outcomes(t, tally(t, "buying", answers), map[string]int{successful: 1, notForTrade: racers - 1})

	winner := slices.IndexFunc(answers, func(a answer) bool { return strings.Contains(a.body, "success") })
	for _, each := range r.services {
		if to := each.item(t, id).number(t, "to"); winner < 0 || to != r.crowd[winner].id {
			t.Errorf("the item went to %d, and racer %d was told to have it", to, winner)
		}
	}
	if n := s.count(t, "item.traded", fmt.Sprintf("item-%d", id)); n != 1 {
		t.Errorf("%d trades in the log", n)
	}
	verifyLog(t, s.db)
}

// buyersAndOwner has the owner close the deal elsewhere and open it again, while others want the item.
func (r race) buyersAndOwner(t *testing.T) {
	t.Helper()
	s, owner := r.at(0), r.at(0).join(t)
	id := owner.add(t, powerBank())
	answers := atOnce(racers, func(i int) answer {
		if i%4 == 0 {
			return owner.via(r.at(i/4)).post(t, "/item/modify", fields{"itemid": id, "sold": 2 - i/4%2})
		}
		return r.crowd[i].via(r.at(i)).trade(t, id)
	})
	var buying, owning []answer
	winner := int64(0)
	for i, a := range answers {
		if i%4 == 0 {
			owning = append(owning, a)
			continue
		}
		buying = append(buying, a)
		if strings.Contains(a.body, "success") {
			winner = r.crowd[i].id
		}
	}
	bought, owned := tally(t, "buying", buying), tally(t, "owning", owning)
	if n := bought[successful]; n > 1 || bought[notForTrade] != len(buying)-n { // none, if they all came while it was closed
		t.Errorf("the buyers were told %v", bought)
	}
	if owned[successful]+owned[alreadyTraded] != len(owning) || winner == 0 && owned[alreadyTraded] > 0 {
		t.Errorf("the owner was told %v", owned)
	}
	item := s.item(t, id)
	if to := item.field(t, "to"); winner == 0 && to != nil || winner != 0 && (item.number(t, "to") != winner || item.number(t, "sold") != 2) {
		t.Errorf("the winner is %d, and the item %s", winner, item.body)
	}
	verifyLog(t, s.db) // that the state is settled after the trade is one of its laws
}

func (r race) publishing(t *testing.T) {
	t.Helper()
	p := r.at(0).join(t)
	ids := atOnce(racers, func(i int) int64 { return p.via(r.at(i)).add(t, powerBank().with("price", i)) })
	slices.Sort(ids)
	if distinct := slices.Compact(slices.Clone(ids)); len(distinct) != racers || distinct[0] == 0 {
		t.Errorf("%d items have %d numbers: %v", racers, len(distinct), distinct)
	}
	var published []int64
	list, _ := p.service.post(t, "/user/published", fields{"uuid": p.id}).json(t).([]any)
	for _, item := range list {
		var id int64
		_, _ = fmt.Sscan(fmt.Sprint(item.(object)["itemid"]), &id)
		published = append(published, id)
	}
	if !slices.Equal(published, ids) {
		t.Errorf("published %v, want %v", published, ids)
	}
	verifyLog(t, p.db)
}

// modifying has one user change a field from many places at once: no change undoes another's field. Each has to be decided anew
// for each that was faster, which makes it n², so there are fewer.
func (r race) modifying(t *testing.T) {
	t.Helper()
	const changes = racers / 4
	p := r.at(0).join(t)
	names := []string{"username", "info", "idcard", "address"}
	answers := atOnce(changes, func(i int) answer {
		return p.via(r.at(i)).post(t, "/user/modify", fields{names[i%len(names)]: fmt.Sprint(i)})
	})
	outcomes(t, tally(t, "modifying", answers), map[string]int{successful: changes})
	me := p.post(t, "/user/me", fields{})
	for k, name := range names {
		var i int
		if _, err := fmt.Sscan(me.text(t, name), &i); err != nil || i%len(names) != k {
			t.Errorf("%s is %q", name, me.text(t, name))
		}
	}
	verifyLog(t, p.db)
}

// sameChange has an owner send one change from six places at once, as impatient people do: each of the answers says that it is
// done, and whoever reads after it sees it, also where there was nothing left to do.
func (r race) sameChange(t *testing.T) {
	t.Helper()
	p := r.at(0).join(t)
	id := p.add(t, powerBank())
	for n := range 20 {
		title := fmt.Sprintf("changed %d times", n)
		atOnce(6, func(i int) bool {
			here := p.via(r.at(i))
			here.post(t, "/item/modify", fields{"itemid": id, "title": title}).succeeded(t)
			if got := here.item(t, id).text(t, "title"); got != title {
				t.Errorf("the title is %q after the answer that it is %q", got, title)
			}
			return true
		})
	}
	if n := p.count(t, "item.modified", fmt.Sprintf("item-%d", id)); n != 20 {
		t.Errorf("20 changes made %d events", n)
	}
}

// TestAReadOnEitherServiceShowsWhatThePOSTOnTheOtherDid has four people write on one and read on the other, in turn.
func TestAReadOnEitherServiceShowsWhatThePOSTOnTheOtherDid(t *testing.T) {
	t.Parallel()
	services := fleet(t)
	const writers, rounds = 4, 12
	people := services[0].crowd(t, 2*writers)
	writes := 0
	for _, n := range atOnce(writers, func(i int) int {
		writer, buyer := people[i], people[writers+i]
		done := 0
		for n := range rounds {
			here, there := services[(i+n)%2], services[(i+n+1)%2]
			done += writer.via(here).readElsewhere(t, there, buyer.via(here), n)
		}
		return done + writer.newPasswordElsewhere(t, services[1-i%2])
	}) {
		writes += n
	}
	t.Logf("%d writes, each followed by a read on the other service", writes)
	verifyLog(t, services[0].db)
}

// readElsewhere writes here, and after each write looks for it there. It returns how many writes it made.
func (p *person) readElsewhere(t *testing.T, there *service, buyer *person, n int) int {
	t.Helper()
	item := powerBank().with("price", n)
	id := p.add(t, item)
	want := shown(id, p, item)
	there.item(t, id).is(t, 200, with(want, "status", "success"))

	title := fmt.Sprintf("changed %d", n)
	p.post(t, "/item/modify", fields{"itemid": id, "title": title}).succeeded(t)
	want["title"] = title
	there.post(t, "/user/published", fields{"uuid": p.id, "after": id - 1}).is(t, 200, []any{want})

	p.post(t, "/user/modify", fields{"info": title}).succeeded(t)
	if got := there.user(t, p.id).text(t, "info"); got != title {
		t.Errorf("info is %q there, want %q", got, title)
	}

	buyer.trade(t, id).succeeded(t)
	want["sold"], want["to"] = 2, buyer.id
	there.item(t, id).is(t, 200, with(want, "status", "success"))
	return 4
}

// newPasswordElsewhere changes the password here, and logs in and asks there. It returns how many writes it made.
func (p *person) newPasswordElsewhere(t *testing.T, there *service) int {
	t.Helper()
	p.post(t, "/user/modify", fields{"password": "battery-staple"}).succeeded(t)
	before := p.token
	p.password = "battery-staple"
	other := p.via(there)
	other.login(t)
	p.token = other.token
	if got := p.post(t, "/user/me", fields{}).number(t, "uuid"); got != p.id {
		t.Errorf("the new token is of user %d, want %d", got, p.id)
	}
	if got := other.post(t, "/user/me", fields{}).number(t, "uuid"); got != p.id {
		t.Errorf("where it was made the new token is of user %d, want %d", got, p.id)
	}
	until(t, "the old token is revoked there, too", func() bool {
		return there.post(t, "/user/me", fields{"token": before}).status == http.StatusForbidden
	})
	return 1
}
