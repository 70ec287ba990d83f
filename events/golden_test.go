package events

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A golden file is an event as the log has it, named <type>.v<schema>.json. What is released is never edited: -update writes
// those that are missing and leaves the others alone. When a type gets a new form, the golden file of the old one stays, and
// still decodes as the event that it says.
var update = flag.Bool("update", false, "write the golden files that are missing")

const goldenFolder = "testdata/golden"

// goldens is what each golden file decodes as. Those named …bare lack every field that may be absent; the others have all.
var goldens = map[string]Event{
	"phone.code_requested.v1": PhoneCodeRequested{
		Phone: "9f86d081884c7d659a2feaa0c55ad015", Code: "0b6cbbb9-1a1c-4bb5-9c4e-7a2f3a2a5e10",
		At:        time.Date(2026, 11, 22, 23, 4, 5, 678_901_234, time.UTC),
		ExpiresAt: time.Date(2026, 11, 22, 23, 14, 5, 678_901_234, time.UTC),
	},
	"phone.code_rejected.v1": PhoneCodeRejected{
		Phone: "9f86d081884c7d659a2feaa0c55ad015", Code: "0b6cbbb9-1a1c-4bb5-9c4e-7a2f3a2a5e10",
	},
	"phone.claimed.v1": PhoneClaimed{
		Phone: "9f86d081884c7d659a2feaa0c55ad015", Code: "0b6cbbb9-1a1c-4bb5-9c4e-7a2f3a2a5e10", User: 7,
	},
	"phone.code_used.v1": PhoneCodeUsed{
		Phone: "9f86d081884c7d659a2feaa0c55ad015", Code: "0b6cbbb9-1a1c-4bb5-9c4e-7a2f3a2a5e10",
	},
	"user.logged_out.v1":     UserLoggedOut{User: 7, At: time.Date(2026, 11, 22, 23, 4, 5, 0, time.UTC)},
	"user.avatar_changed.v1": UserAvatarChanged{User: 7, AvatarURL: `image\avatar\0.35113526938054584.jpg`},
	"user.mail_requested.v1": UserMailRequested{
		User: 7, Mail: NewPrivate("20191234@campus.example"), Ticket: "5f0c1c56-6d1b-4a9e-8f51-0f6b0a4f2d11",
		At:        time.Date(2026, 11, 22, 23, 4, 5, 0, time.UTC),
		ExpiresAt: time.Date(2026, 11, 23, 23, 4, 5, 0, time.UTC),
	},
	"user.verified.v1": UserVerified{User: 7, Ticket: "5f0c1c56-6d1b-4a9e-8f51-0f6b0a4f2d11"},
	"image.uploaded.v1": ImagesUploaded{
		Upload: "d7a2c7f0-0f0e-4b0c-a9d0-3f5b1f1e7c55", User: 7, Images: []string{`image\item\0.35113526938054584.jpg`},
		At: time.Date(2026, 11, 22, 23, 4, 5, 0, time.UTC),
	},
	"favorite.added.v1":   FavoriteAdded{Favorite: 5, User: 7, Item: 41},
	"favorite.removed.v1": FavoriteRemoved{Favorite: 5, User: 7, Item: 41},
	"message.sent.v1": MessageSent{
		Message: 2, From: 7, To: 8, Text: NewPrivate("hi, world. 你好\n🐟 <b>\"\\"), At: time.Date(2026, 11, 22, 23, 4, 5, 0, time.UTC),
	},
	"message.fetched.v1": MessageFetched{Message: 2, By: 8, At: time.Date(2026, 11, 22, 23, 4, 5, 0, time.UTC)},
	"user.registered.v1": UserRegistered{
		User: 7, Phone: NewPrivate("+8613800138000"), PhoneIndex: "9f86d081884c7d659a2feaa0c55ad015",
		Password: "6f1c4f0e-2c8a-4a7e-8d5b-0e5a3f6f9c21", Username: NewPrivate("新手咸鱼人员"),
		AvatarURL: `image\avatar\default.jpg`, Info: NewPrivate("这家伙很懒，什么都没有写>^<"), Score: 10,
	},
	"user.profile_changed.v1": UserProfileChanged{
		User: 7, Username: NewPrivate("Ada 🐟"), Info: NewPrivate("<b>\"it's\"</b>"), IDCard: NewPrivate("11010119900307891X"),
		Address: NewPrivate(""),
	},
	"user.profile_changed.v1.bare": UserProfileChanged{User: 7},
	"user.studentid_changed.v1":    UserStudentIDChanged{User: 7, StudentID: NewPrivate("20191234")},
	"user.password_changed.v1": UserPasswordChanged{
		User: 7, Password: "d2719c5b-5b3e-4d64-9a0f-1f6f3e0a9b77", At: time.Date(2026, 11, 22, 23, 4, 5, 0, time.UTC),
	},
	"item.published.v1": ItemPublished{
		Item: 41, Owner: 7, Title: "自行车 <b>\"26寸\"</b> & 🔒", Type: 3, Price: 98_750, ImgURL: `["image\\item\\0.35113526938054584.jpg"]`,
		Depreciation: 9, Note: "几乎全新\r\n\tnearly new", Sold: ForSale,
	},
	"item.modified.v1": ItemModified{
		Item: 41, Title: new("自行车"), Type: new(int32(4)), Price: new(Price(399)), ImgURL: new("[]"), Depreciation: new(int32(8)),
		Note: new("便宜了"), Sold: new(SoldOut),
	},
	"item.modified.v1.bare": ItemModified{Item: 41},
	"item.traded.v1":        ItemTraded{Item: 41, Buyer: 8, Sold: SoldOut},
}

// form takes a golden file's name apart.
func form(t *testing.T, name string) (kind string, schema int16) {
	t.Helper()
	name = strings.TrimSuffix(name, ".bare")
	kind, version := name[:strings.LastIndex(name, ".v")], name[strings.LastIndex(name, ".v")+2:]
	if _, err := fmt.Sscanf(version, "%d", &schema); err != nil {
		t.Fatalf("golden file %s: %v", name, err)
	}
	return kind, schema
}

func TestEveryFormOfEveryTypeHasAGoldenFile(t *testing.T) {
	t.Parallel()
	wanted := map[string]bool{}
	for _, kind := range Types.All() {
		for schema := range kind.Schema {
			name := fmt.Sprintf("%s.v%d", kind.Name, schema+1)
			wanted[name] = true
			if mayLackFields(kind.goType) {
				wanted[name+".bare"] = true
			}
		}
	}
	for name := range wanted {
		if goldens[name] == nil {
			t.Errorf("goldens does not say what %s.json is", name)
		}
	}
	for name := range goldens {
		if !wanted[name] {
			t.Errorf("%s is the form of no registered type", name)
		}
	}
	files, err := os.ReadDir(goldenFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(file.Name(), ".json"); !wanted[name] {
			t.Errorf("%s is the form of no registered type: released types and forms do not go away", file.Name())
		}
	}
}

func TestGoldenFilesHaveAllFieldsOrNone(t *testing.T) {
	t.Parallel()
	for name, event := range goldens {
		bare := strings.HasSuffix(name, ".bare")
		value := reflect.ValueOf(event)
		for i := range value.NumField() {
			field := value.Type().Field(i)
			if absent := bare && optional(field); value.Field(i).IsZero() != absent {
				t.Errorf("%s: field %s is absent: %t, want %t", name, field.Name, !absent, absent)
			}
		}
	}
}

func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	codec := NewCodec(Types, keyring{})
	for name, want := range goldens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored := golden(t, codec, name, want)
			kind, schema := form(t, name)
			got := mustDecode(t, codec, Recorded{Position: 1, Stream: want.Stream(), Version: 1, Type: kind, Schema: schema, Data: stored})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("it decodes as something else (-want +got):\n%s", diff)
			}
			today, _ := Types.Of(want)
			if today.Name != kind {
				t.Errorf("%T is %s by name", want, today.Name)
			}
			if schema != today.Schema {
				return // nobody writes that form any more
			}
			// A decoded event still has its ciphertext, so that this holds for personal data too.
			written, err := marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(written, stored) {
				t.Errorf("a released form was changed: it takes a new version and an upcast. Stored:\n%s\nwritten now:\n%s", stored, written)
			}
			if encoded := mustEncode(t, codec, want)[0]; !hasPersonal(want) && !bytes.Equal(encoded.Data, stored) {
				t.Errorf("encoded:\n%s\nwant:\n%s", encoded.Data, stored)
			}
		})
	}
}

// golden reads a golden file. With -update it is written if it is missing.
func golden(t *testing.T, codec *Codec, name string, event Event) []byte {
	t.Helper()
	path := filepath.Join(goldenFolder, name+".json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && *update {
		text = slices.Concat(mustEncode(t, codec, event)[0].Data, []byte("\n"))
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatalf("%v (go test ./events -update writes golden files that are missing)", err)
	}
	return bytes.TrimSuffix(text, []byte("\n"))
}

func mayLackFields(event reflect.Type) bool {
	for field := range event.Fields() {
		if optional(field) {
			return true
		}
	}
	return false
}

func optional(field reflect.StructField) bool {
	return strings.Contains(field.Tag.Get("json"), ",omit")
}

func hasPersonal(e Event) bool {
	_, ok := reflect.TypeAssert[Personal](reflect.New(reflect.TypeOf(e)))
	return ok
}
