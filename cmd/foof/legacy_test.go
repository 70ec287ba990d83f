package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// sampled wants an answer to have the shape of a sample of the old document: all of its fields, of the same JSON types, at every
// depth. There may be more fields. Where the sample has null, there may be a number.
func (a answer) sampled(t *testing.T, sample string) answer {
	t.Helper()
	want, err := literally(sample)
	if err != nil {
		t.Fatalf("%v: %s", err, sample)
	}
	if a.status != http.StatusOK {
		t.Errorf("%s: status %d", a.asked, a.status)
	}
	for _, difference := range differences("answer", want, a.json(t)) {
		t.Errorf("%s: %s\nsample: %s\nanswer: %s", a.asked, difference, sample, a.body)
	}
	return a
}

// differences between the shapes of a sample and of a value.
func differences(where string, sample, v any) []string {
	switch sample := sample.(type) {
	case object:
		o, ok := v.(object)
		if !ok {
			return []string{where + " is no object"}
		}
		var all []string
		for name, member := range sample {
			if _, there := o[name]; !there {
				all = append(all, where+" has no "+name)
				continue
			}
			all = append(all, differences(where+"."+name, member, o[name])...)
		}
		return all
	case []any:
		list, ok := v.([]any)
		if !ok {
			return []string{where + " is no list"}
		}
		if len(list) == 0 {
			return []string{where + " is empty: its entries cannot be compared"}
		}
		var all []string
		for i, entry := range list {
			all = append(all, differences(fmt.Sprintf("%s[%d]", where, i), sample[0], entry)...)
		}
		return all
	case nil:
		if _, number := v.(json.Number); v != nil && !number {
			return []string{where + " is neither null nor a number"}
		}
		return nil
	default:
		if fmt.Sprintf("%T", sample) != fmt.Sprintf("%T", v) {
			return []string{fmt.Sprintf("%s is %v, and the sample has %v", where, v, sample)}
		}
		return nil
	}
}

// TestTheOldDocument walks through the API document of FOOF v6.4.1, every endpoint in its order and with the encoding and the
// fields that it shows, and holds each answer against its sample. Where its copy has lost a table, the contract tells.
func TestTheOldDocument(t *testing.T) { //nolint:tparallel // one step after the other
	t.Parallel()
	s := start(t)
	// What the document takes for granted: two users, one of whom has things on offer, sold and got.
	eve, ann := s.register(t), s.register(t)
	for _, sold := range []int{-1, 1, -1} {
		ann.add(t, powerBank().with("sold", sold))
	}
	eve.add(t, powerBank().with("sold", -1))
	ann.trade(t, 4).succeeded(t)
	const items = `[{"itemid": 5, "uuid": 1, "title": "未命名商品1", "type": 1, "price": 1.23, "imgurl": "[]", "depreciation": 99,
		"note": "然而并没什么描述", "sold": -1, "to": null}]`
	const uploaded = `{"status": "success", "imgurl": ["image\\item\\0.37298177116166853.jpg"]}`
	const success = `{"status": "success"}`

	t.Run("users: public query", func(t *testing.T) {
		s.user(t, ann.id).sampled(t, `{"uuid": 1, "username": "新手咸鱼人员", "avatarurl": "image\\avatar\\default.jpg", "verified": 0, "score": 10,
			"info": "这家伙很懒，什么都没有写>^<", "status": "success"}`).is(t, http.StatusOK, object{
			"uuid": ann.id, "username": "新手咸鱼人员", "avatarurl": `image\avatar\default.jpg`, "verified": 0, "score": 10,
			"info": "这家伙很懒，什么都没有写>^<", "status": "success",
		})
	})
	t.Run("users: me", func(t *testing.T) {
		ann.post(t, "/user/me", fields{}).sampled(t, `{"uuid": 1, "username": "新手咸鱼人员", "phonenumner": "1", "idcard": "", "studentid": "0",
			"address": "", "avatarurl": "image\\avatar\\default.jpg", "verified": 0, "score": 10, "info": "这家伙很懒，什么都没有写>^<", "status": "success"}`)
		s.post(t, "/user/me", fields{"token": "wrong"}).forbidden(t)
	})
	t.Run("users: published", func(t *testing.T) {
		s.post(t, "/user/published", fields{"uuid": fmt.Sprint(ann.id)}).sampled(t, items)
	})
	t.Run("users: finished", func(t *testing.T) {
		ann.post(t, "/user/finished", fields{}).sampled(t, `[{"itemid": 3, "uuid": 1, "title": "432", "type": 798, "price": 987, "imgurl": "987",
			"depreciation": 798, "note": "987", "sold": -2, "to": 1}]`)
	})
	t.Run("users: login", func(t *testing.T) {
		a := s.post(t, "/user/login", fields{"phonenumber": ann.number, "password": ann.password})
		a.sampled(t, `{"status": "success", "info": {"uuid": 1, "username": "新手咸鱼人员", "phonenumber": "1", "idcard": "", "studentid": "0",
			"address": "", "avatarurl": "image\\avatar\\default.jpg", "verified": 0, "score": 10, "info": "这家伙很懒，什么都没有写>^<"}, "token": "eyJ"}`)
		payload := decoded(t, strings.Split(a.text(t, "token"), ".")[1])
		for _, d := range differences("the token", object{"uuid": json.Number("1"), "generate": json.Number("1"), "iat": json.Number("1")}, payload) {
			t.Error(d)
		}
		s.post(t, "/user/login", fields{"phonenumber": ann.number, "password": "1"}).
			sampled(t, `{"status": "failure", "info": "password incorrect"}`).failed(t, "password incorrect")
	})
	t.Run("users: register", func(t *testing.T) {
		number := newNumber()
		code := s.code(t, number)
		form := fields{"phonenumber": number, "verifycode": code, "password": "correct-horse"}
		s.post(t, "/user/register", form.with("verifycode", "2")).sampled(t, `{"status":"failure","info":"invaild request"}`).failed(t, "invaild request")
		s.post(t, "/user/register", form).sampled(t, success)
		s.post(t, "/user/register", form.with("verifycode", s.code(t, number))).
			sampled(t, `{"status":"failure","info":"phone number already token"}`).failed(t, "phone number already token")
	})
	t.Run("users: require verify code (phone number)", func(t *testing.T) {
		s.post(t, "/user/requirecode", fields{"phonenumber": newNumber()}).sampled(t, success)
	})
	t.Run("users: upload avatar", func(t *testing.T) {
		picture := file{"file", "800px-%E5%8D%83%E6%81%8B.jpg", "image/jpg", asJPEG(plate(800, 600, blue))}
		paths := ann.upload(t, "/user/avatar", picture).sampled(t, uploaded).paths(t)
		if got := s.user(t, ann.id).text(t, "avatarurl"); len(paths) != 1 || got != paths[0] {
			t.Errorf("the avatar is %s, and uploaded was %v", got, paths)
		}
		(&person{service: s, token: "wrong"}).upload(t, "/user/avatar", picture).forbidden(t)
	})
	t.Run("users: modify", func(t *testing.T) {
		form := fields{"username": "wakamiyaEve", "idcard": "1", "studentid": "2", "address": "M3c", "info": "no"}
		ann.post(t, "/user/modify", form).sampled(t, success)
		s.post(t, "/user/modify", form.with("token", "wrong")).forbidden(t)
		ann.post(t, "/user/modify", form.with("password", "11111111")).sampled(t, success)
		ann.post(t, "/user/me", fields{}).forbidden(t)
		ann.password = "11111111"
		ann.login(t)
		if got := ann.post(t, "/user/me", fields{}).text(t, "address"); got != "M3c" {
			t.Errorf("the address is %q", got)
		}
	})
	t.Run("users: require verify code (email)", func(t *testing.T) {
		ann.post(t, "/user/mail/verify", fields{}).sampled(t, success)
	})
	t.Run("users: verify code (mail)", func(t *testing.T) {
		s.follow(t, s.mailed(t, "2@campus.example")[0]).sampled(t, success)
		if got := s.user(t, ann.id).number(t, "verified"); got != 1 {
			t.Errorf("verified is %d", got)
		}
	})
	t.Run("items: query", func(t *testing.T) {
		s.item(t, 1).sampled(t, `{"itemid": 1, "uuid": 1, "title": "432", "type": 798, "price": 987, "imgurl": "987", "depreciation": 798, "note": "987",
			"sold": 987, "to": null, "status": "success"}`)
		s.item(t, 4).sampled(t, `{"itemid": 1, "uuid": 1, "title": "432", "type": 798, "price": 987, "imgurl": "987", "depreciation": 798, "note": "987",
			"sold": 987, "to": 0, "status": "success"}`)
		s.item(t, 999).sampled(t, `{"status": "none"}`).none(t)
	})
	t.Run("items: add", func(t *testing.T) {
		form := fields{
			"title": "未命名商品1", "type": "1", "price": "1.23", "depreciation": "99", "note": "然而并没什么描述", "sold": "-1",
			"imgurl": `[    "image\\item\\0.35113526938054584.jpg",    "image\\item\\0.5106340873338395.jpg"   ]`,
		}
		id := ann.post(t, "/item/add", form).sampled(t, success).number(t, "itemid")
		if got := s.item(t, id).text(t, "imgurl"); got != form["imgurl"] {
			t.Errorf("imgurl is %s", got)
		}
		s.post(t, "/item/add", form.with("token", "wrong")).forbidden(t)
	})
	t.Run("items: upload image", func(t *testing.T) {
		var files []file
		for i, name := range []string{"Hoshikawa_Hotaru.png", "23984.png", "24370.png", "53-098.png"} {
			files = append(files, file{fmt.Sprint("file", i), name, "image/png", aPicture})
		}
		if paths := ann.upload(t, "/item/image", files...).sampled(t, uploaded).paths(t); len(paths) != 4 {
			t.Errorf("4 files gave %v", paths)
		}
		files[3].data = upload(strings.Repeat("x", 1<<20))
		ann.upload(t, "/item/image", files...).tooLarge(t)
		(&person{service: s, token: "wrong"}).upload(t, "/item/image", files[0]).forbidden(t)
	})
	t.Run("items: modify", func(t *testing.T) {
		form := fields{
			"itemid": "1", "title": "小米充电宝", "type": "2", "price": "299.9", "depreciatione": "98", "note": "一块钱四个", "sold": "-1",
			"imgurl": `{"imgurl": [    "image\\item\\0.21266930758871538.jpg"   ] }`,
		}
		ann.postAs(t, multiPart, "/item/modify", form).sampled(t, success)
		s.item(t, 1).is(t, http.StatusOK, object{
			"itemid": 1, "uuid": ann.id, "title": "小米充电宝", "type": 2, "price": 299.9, "imgurl": form["imgurl"], "depreciation": 98,
			"note": "一块钱四个", "sold": -1, "to": nil, "status": "success",
		})
		s.postAs(t, multiPart, "/item/modify", form.with("token", "wrong")).forbidden(t)
	})
	t.Run("items: trade", func(t *testing.T) {
		eve.postAs(t, multiPart, "/item/trade", fields{"itemid": "1"}).sampled(t, success)
		eve.postAs(t, multiPart, "/item/trade", fields{"itemid": "1"}).
			sampled(t, `{"status": "failure", "info": "item not availabe for trade"}`).failed(t, "item not availabe for trade")
	})
	t.Run("favorites: query, after adding", func(t *testing.T) { // an empty list has no shape
		ann.post(t, "/fav/query", fields{}).is(t, http.StatusOK, `{"status":"success","res":[]}`)
		ann.post(t, "/fav/add", fields{"data": "[3,1,2]"}).sampled(t, success)
		ann.post(t, "/fav/query", fields{}).sampled(t, `{"status": "success", "res": [{"id": 5, "itemid": 3, "uuid": 1}]}`)
	})
	t.Run("favorites: add", func(t *testing.T) {
		ann.post(t, "/fav/add", fields{"data": "[1,2,3]"}).sampled(t, success)
		ann.keeps(t, 3, 1, 2)
	})
	t.Run("favorites: delete", func(t *testing.T) {
		ann.post(t, "/fav/delete", fields{"data": "[1,2,3]"}).sampled(t, success)
		ann.keeps(t)
	})
	const messages = `{"status": "success", "data": [{"id": 2, "from": 1, "to": 1, "data": "hi, world.", "fetched": false,
		"createdAt": "2019-09-04T14:29:05.000Z", "updatedAt": "2019-09-04T14:29:05.000Z"}]}`
	t.Run("message: send message", func(t *testing.T) {
		ann.post(t, "/user/chat/push", fields{"to": fmt.Sprint(ann.id), "data": "hi, world."}).sampled(t, success)
	})
	t.Run("message: fetch new message", func(t *testing.T) {
		says(t, "what is new", ann.post(t, "/user/chat/fetchnew", fields{}).sampled(t, messages).messages(t), "hi, world.")
		says(t, "what is new then", ann.fetchNew(t))
	})
	t.Run("message: fetch all message", func(t *testing.T) {
		all := ann.post(t, "/user/chat/fetchall", fields{}).sampled(t, messages).messages(t)
		if says(t, "all", all, "hi, world."); !all[0].Fetched {
			t.Error("it was fetched before")
		}
	})
}
