package localpg

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// identity is the user that the server runs as.
type identity struct {
	uid, gid int
	name     string
	other    bool // not the user that we run as: we are root and must not be
}

func (id identity) String() string { return fmt.Sprintf("user %s", id.name) }

// identityFor says as whom to run a server on the folder data. PostgreSQL
// refuses to run as root, so root hands it to the cluster's owner, or to an
// unprivileged user if there is no cluster.
func identityFor(data string) (identity, error) {
	owner, exists := ownerOf(data)
	if me := os.Geteuid(); me != 0 {
		if exists && owner.uid != me {
			return identity{}, fmt.Errorf("the cluster in %s belongs to %s, not to you (user id %d): run as that user or as root",
				data, owner, me)
		}
		return identity{uid: me, gid: os.Getegid(), name: userName(me)}, nil
	}
	id := unprivileged()
	if exists && owner.uid != 0 {
		id = owner
	}
	id.other = true
	return id, nil
}

func unprivileged() identity {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil && uid > 0 {
			return identity{uid: uid, gid: gid, name: name}
		}
	}
	return identity{uid: 65534, gid: 65534, name: "65534"}
}

// own gives a file or folder, with all in it, to the server's user.
func (id identity) own(path string) error {
	if !id.other {
		return nil
	}
	return filepath.WalkDir(path, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, id.uid, id.gid)
	})
}

func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return strconv.Itoa(uid)
	}
	return u.Username
}

// reachable tells whether id may enter dir and every folder above it, judged by
// the permission bits.
func reachable(dir string, id identity) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || !mayEnter(info, id) {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}
