package events

import (
	"fmt"
	"reflect"
)

// Types is every kind of event that there is. A type's name is never changed and a released form never edited: a new
// form is a new version, and an upcast from the one before.
var Types = NewRegistry(
	Define[PhoneCodeRequested]("phone.code_requested", 1),
	Define[PhoneCodeRejected]("phone.code_rejected", 1),
	Define[PhoneClaimed]("phone.claimed", 1),
	Define[PhoneCodeUsed]("phone.code_used", 1),
	Define[UserRegistered]("user.registered", 1),
	Define[UserProfileChanged]("user.profile_changed", 1),
	Define[UserStudentIDChanged]("user.studentid_changed", 1),
	Define[UserPasswordChanged]("user.password_changed", 1),
	Define[UserLoggedOut]("user.logged_out", 1),
	Define[UserAvatarChanged]("user.avatar_changed", 1),
	Define[UserMailRequested]("user.mail_requested", 1),
	Define[UserVerified]("user.verified", 1),
	Define[ItemPublished]("item.published", 1),
	Define[ItemModified]("item.modified", 1),
	Define[ItemTraded]("item.traded", 1),
	Define[ImagesUploaded]("image.uploaded", 1),
	Define[FavoriteAdded]("favorite.added", 1),
	Define[FavoriteRemoved]("favorite.removed", 1),
	Define[MessageSent]("message.sent", 1),
	Define[MessageFetched]("message.fetched", 1),
)

// A Type is one kind of event: its name, the version of the form that is written today, and how to get there from older
// forms.
type Type struct {
	Name   string
	Schema int16

	goType  reflect.Type
	upcasts []Upcast // upcasts[v-1] turns form v into form v+1
	encode  func(e Event, seal sealer) ([]byte, error)
	decode  func(data []byte) (opened, error)
}

// An Upcast turns the JSON of one form into that of the next. What is stored stays as it is.
type Upcast func(data []byte) ([]byte, error)

// Define describes the event type E: its name and today's form. The upcasts lead from form 1 to form 2, from 2 to 3 and so
// on to schema; there must be schema-1 of them.
func Define[E Event](name string, schema int16, upcasts ...Upcast) Type {
	return Type{
		Name: name, Schema: schema, goType: reflect.TypeFor[E](), upcasts: upcasts,
		encode: func(e Event, seal sealer) ([]byte, error) {
			fact, _ := e.(E) // a copy: sealing does not touch the caller's event
			if personal, ok := any(&fact).(Personal); ok {
				if err := seal(personal); err != nil {
					return nil, err
				}
			}
			return marshal(fact)
		},
		decode: func(data []byte) (opened, error) {
			fact := new(E)
			if err := unmarshal(data, fact); err != nil {
				return opened{}, err
			}
			personal, _ := any(fact).(Personal)
			return opened{personal: personal, event: func() Event { return *fact }}, nil
		},
	}
}

// opened is an event read from JSON, whose personal data, if it has some, is still sealed.
type opened struct {
	personal Personal
	event    func() Event
}

type sealer func(Personal) error

// A Registry knows event types by name and by the Go type of their events. It is not changed after it was made.
type Registry struct {
	byName map[string]Type
	byGo   map[reflect.Type]Type
	all    []Type
}

// NewRegistry makes a registry, and panics where a name or a Go type occurs twice or an upcast is missing: it is called with
// a table that the program brings along.
func NewRegistry(types ...Type) *Registry {
	r := &Registry{byName: map[string]Type{}, byGo: map[reflect.Type]Type{}, all: types}
	for _, t := range types {
		_, nameTaken := r.byName[t.Name]
		_, goTaken := r.byGo[t.goType]
		if nameTaken || goTaken || len(t.upcasts) != int(t.Schema)-1 {
			panic(fmt.Sprintf( //nolint:forbidigo // a table that is wrong is wrong before anything runs
				"event type %s: registered twice, or not one upcast for each older form", t.Name))
		}
		r.byName[t.Name] = t
		r.byGo[t.goType] = t
	}
	return r
}

// All lists the types in the order of the table.
func (r *Registry) All() []Type { return r.all }

// New is an event of this type that says nothing yet.
func (t Type) New() Event {
	e, _ := reflect.TypeAssert[Event](reflect.Zero(t.goType))
	return e
}

// Of finds the type of an event.
func (r *Registry) Of(e Event) (Type, bool) {
	t, ok := r.byGo[reflect.TypeOf(e)]
	return t, ok
}
