package events

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyEvent draws events of each type, with every value that its fields can take.
var anyEvent = map[string]*rapid.Generator[Event]{
	"phone.code_requested": rapid.Custom(func(t *rapid.T) Event {
		return PhoneCodeRequested{Phone: anyPhone.Draw(t, "phone"), Code: text.Draw(t, "code"), At: anyTime.Draw(t, "at"), ExpiresAt: anyTime.Draw(t, "expires")}
	}),
	"phone.code_rejected": rapid.Custom(func(t *rapid.T) Event {
		return PhoneCodeRejected{Phone: anyPhone.Draw(t, "phone"), Code: text.Draw(t, "code")}
	}),
	"phone.claimed": rapid.Custom(func(t *rapid.T) Event {
		return PhoneClaimed{Phone: anyPhone.Draw(t, "phone"), Code: text.Draw(t, "code"), User: anyUser.Draw(t, "user")}
	}),
	"phone.code_used": rapid.Custom(func(t *rapid.T) Event {
		return PhoneCodeUsed{Phone: anyPhone.Draw(t, "phone"), Code: text.Draw(t, "code")}
	}),
	"user.logged_out": rapid.Custom(func(t *rapid.T) Event {
		return UserLoggedOut{User: anyUser.Draw(t, "user"), At: anyTime.Draw(t, "at")}
	}),
	"user.avatar_changed": rapid.Custom(func(t *rapid.T) Event {
		return UserAvatarChanged{User: anyUser.Draw(t, "user"), AvatarURL: text.Draw(t, "avatar")}
	}),
	"user.mail_requested": rapid.Custom(func(t *rapid.T) Event {
		return UserMailRequested{
			User: anyUser.Draw(t, "user"), Mail: private.Draw(t, "mail"), Ticket: text.Draw(t, "ticket"),
			At: anyTime.Draw(t, "at"), ExpiresAt: anyTime.Draw(t, "expires"),
		}
	}),
	"user.verified": rapid.Custom(func(t *rapid.T) Event {
		return UserVerified{User: anyUser.Draw(t, "user"), Ticket: text.Draw(t, "ticket")}
	}),
	"image.uploaded": rapid.Custom(func(t *rapid.T) Event {
		return ImagesUploaded{
			Upload: text.Draw(t, "upload"), User: anyUser.Draw(t, "user"), Images: rapid.SliceOfN(text, 1, 5).Draw(t, "images"), At: anyTime.Draw(t, "at"),
		}
	}),
	"favorite.added": rapid.Custom(func(t *rapid.T) Event {
		return FavoriteAdded{Favorite: FavoriteID(rapid.Int64().Draw(t, "id")), User: anyUser.Draw(t, "user"), Item: ItemID(rapid.Int64().Draw(t, "item"))}
	}),
	"favorite.removed": rapid.Custom(func(t *rapid.T) Event {
		return FavoriteRemoved{Favorite: FavoriteID(rapid.Int64().Draw(t, "id")), User: anyUser.Draw(t, "user"), Item: ItemID(rapid.Int64().Draw(t, "item"))}
	}),
	"message.sent": rapid.Custom(func(t *rapid.T) Event {
		return MessageSent{
			Message: MessageID(rapid.Int64().Draw(t, "id")), From: anyUser.Draw(t, "from"), To: anyUser.Draw(t, "to"),
			Text: private.Draw(t, "text"), At: anyTime.Draw(t, "at"),
		}
	}),
	"message.fetched": rapid.Custom(func(t *rapid.T) Event {
		return MessageFetched{Message: MessageID(rapid.Int64().Draw(t, "id")), By: anyUser.Draw(t, "by"), At: anyTime.Draw(t, "at")}
	}),
	"user.registered": rapid.Custom(func(t *rapid.T) Event {
		return UserRegistered{
			User: anyUser.Draw(t, "user"), Phone: private.Draw(t, "phone"), PhoneIndex: anyPhone.Draw(t, "index"), Password: text.Draw(t, "password"),
			Username: private.Draw(t, "username"), AvatarURL: text.Draw(t, "avatar"), Info: private.Draw(t, "info"), Score: rapid.Int().Draw(t, "score"),
		}
	}),
	"user.profile_changed": rapid.Custom(func(t *rapid.T) Event {
		maybe := rapid.OneOf(private, rapid.Just(Private{}))
		return UserProfileChanged{
			User: anyUser.Draw(t, "user"), Username: maybe.Draw(t, "username"), Info: maybe.Draw(t, "info"),
			IDCard: maybe.Draw(t, "idcard"), Address: maybe.Draw(t, "address"),
		}
	}),
	"user.studentid_changed": rapid.Custom(func(t *rapid.T) Event {
		return UserStudentIDChanged{User: anyUser.Draw(t, "user"), StudentID: private.Draw(t, "number")}
	}),
	"user.password_changed": rapid.Custom(func(t *rapid.T) Event {
		return UserPasswordChanged{User: anyUser.Draw(t, "user"), Password: text.Draw(t, "password"), At: anyTime.Draw(t, "at")}
	}),
	"item.published": rapid.Custom(func(t *rapid.T) Event {
		return ItemPublished{
			Item: ItemID(rapid.Int64().Draw(t, "item")), Owner: anyUser.Draw(t, "owner"), Title: text.Draw(t, "title"), Type: rapid.Int32().Draw(t, "type"),
			Price: Price(rapid.Int64().Draw(t, "price")), ImgURL: text.Draw(t, "imgurl"), Depreciation: rapid.Int32().Draw(t, "depreciation"),
			Note: text.Draw(t, "note"), Sold: Sold(rapid.Int32().Draw(t, "sold")),
		}
	}),
	"item.modified": rapid.Custom(func(t *rapid.T) Event {
		number := rapid.Ptr(rapid.Int32(), true)
		words := rapid.Ptr(text, true)
		return ItemModified{
			Item: ItemID(rapid.Int64().Draw(t, "item")), Title: words.Draw(t, "title"), Type: number.Draw(t, "type"),
			Price: (*Price)(rapid.Ptr(rapid.Int64(), true).Draw(t, "price")), ImgURL: words.Draw(t, "imgurl"),
			Depreciation: number.Draw(t, "depreciation"), Note: words.Draw(t, "note"), Sold: (*Sold)(number.Draw(t, "sold")),
		}
	}),
	"item.traded": rapid.Custom(func(t *rapid.T) Event {
		return ItemTraded{Item: ItemID(rapid.Int64().Draw(t, "item")), Buyer: anyUser.Draw(t, "buyer"), Sold: Sold(rapid.Int32().Draw(t, "sold"))}
	}),
}

var (
	text     = rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\x00", "<&>\u2028\"\\", "新手咸鱼人员", "🐟"}))
	anyPhone = rapid.Custom(func(t *rapid.T) PhoneIndex { return PhoneIndex(text.Draw(t, "index")) })
	anyUser  = rapid.Custom(func(t *rapid.T) UserID { return UserID(rapid.Int64().Draw(t, "id")) })
	private  = rapid.Custom(func(t *rapid.T) Private { return NewPrivate(text.Draw(t, "text")) })
	anyTime  = rapid.Custom(func(t *rapid.T) time.Time {
		const year10000 = 253402300800
		at := time.Unix(rapid.Int64Range(0, year10000-86_401).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		return at.In(time.FixedZone("", 60*rapid.IntRange(-23*60, 23*60).Draw(t, "zone")))
	})
)

func TestWhatIsEncodedDecodesAsTheSame(t *testing.T) {
	t.Parallel()
	codec := NewCodec(Types, keyring{})
	for _, kind := range Types.All() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			generator := anyEvent[kind.Name]
			if generator == nil {
				t.Fatal("there is no generator of it")
			}
			rapid.Check(t, func(r *rapid.T) {
				event := generator.Draw(r, "event")
				encoded := mustEncode(t, codec, event)[0]
				if encoded.Type != kind.Name || encoded.Schema != kind.Schema || encoded.Stream != event.Stream() {
					r.Fatalf("it is encoded as %s v%d in %s", encoded.Type, encoded.Schema, encoded.Stream)
				}
				if diff := cmp.Diff(event, mustDecode(t, codec, record(encoded))); diff != "" {
					r.Fatalf("(-encoded +decoded):\n%s", diff)
				}
			})
		})
	}
}
