package server

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// noNewPrivileges keeps all threads from ever gaining privileges (prctl(2)). A binary that is linked with C cannot do that for all of
// its threads, and goes without.
func noNewPrivileges() error {
	_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if errno != 0 && !errors.Is(errno, syscall.ENOTSUP) {
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	return nil
}
