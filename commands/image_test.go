package commands

import (
	"testing"

	"foof/events"
	"foof/internal/fault"
)

const picture = `image\avatar\0.123.jpg`

func TestChangeAvatar(t *testing.T) {
	t.Parallel()
	change := ChangeAvatar{User: 7, AvatarURL: picture}
	changed := events.UserAvatarChanged{User: 7, AvatarURL: picture}

	testExamples(t,
		example[user]{name: "of a user who is unknown is forbidden", when: change, fault: fault.ErrForbidden},
		example[user]{name: "gives the user another picture", given: history{newcomer()}, when: change, then: history{changed}},
		example[user]{name: "to what it is already changes nothing", given: history{newcomer(), changed}, when: change},
		example[user]{
			name: "of a newcomer to the default changes nothing", given: history{newcomer()},
			when: ChangeAvatar{User: 7, AvatarURL: `image\avatar\default.jpg`},
		},
		example[user]{
			name:  "back to one of before is an event of its own",
			given: history{newcomer(), changed, events.UserAvatarChanged{User: 7, AvatarURL: "other"}}, when: change, then: history{changed},
		},
	)
}

func TestRecordUpload(t *testing.T) {
	t.Parallel()
	record := RecordUpload{Upload: "u", User: 7, Images: []string{picture, "other"}, At: noon}
	recorded := events.ImagesUploaded(record)

	testExamples(t, example[upload]{name: "notes who put which pictures there, and when", when: record, then: history{recorded}})
	t.Run("under an id that is taken changes nothing", func(t *testing.T) {
		t.Parallel()
		facts, err := record.Decide(fold[upload](history{recorded}))
		if len(facts) != 0 || fault.Of(err) == nil || fault.Of(err).Kind != fault.KindInternal {
			t.Errorf("it is %v, %v", facts, err)
		}
	})
}
