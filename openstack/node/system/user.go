package system

import (
	"os"
	"os/user"
	"strconv"
)

// AsUser returns what to put before a command for it to run as this user, a name or a number, and not as root: Nova's own
// Python, and what that loads, may be files that nova can write. Where there is no such user, the command runs as nobody.
func AsUser(name string) []string {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, groups := "65534", "65534", "--clear-groups"
	if number, err := strconv.Atoi(name); err == nil && number != 0 {
		uid, gid = name, name
	}
	if found, err := user.Lookup(name); err == nil {
		uid, gid, groups = found.Uid, found.Gid, "--init-groups"
	}
	return []string{"setpriv", "--reuid=" + uid, "--regid=" + gid, groups, "--no-new-privs", "--reset-env", "--"}
}
