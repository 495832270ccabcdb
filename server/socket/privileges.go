//go:build unix

package socket

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Become switches the process to an account with fewer rights, for good, once its sockets are open.
func Become(name string) error {
	if name == "" {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	switch os.Getuid() {
	case uid:
		return nil
	case 0:
	default:
		return errors.New("only root can switch to another account")
	}
	err = noNewPrivileges()
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"setgroups", func() error { return syscall.Setgroups([]int{gid}) }},
		{"setgid", func() error { return syscall.Setgid(gid) }},
		{"setuid", func() error { return syscall.Setuid(uid) }},
	} {
		if err == nil {
			if failed := step.do(); failed != nil {
				err = fmt.Errorf("%s: %w", step.what, failed)
			}
		}
	}
	return err
}
