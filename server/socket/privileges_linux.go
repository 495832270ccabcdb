package socket

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// noNewPrivileges keeps all threads from ever gaining privileges (prctl(2)). In a binary that is linked with C the runtime cannot make
// a system call for all threads; each thread that is there gets it from a thread of C's, which this is not: it is refused.
func noNewPrivileges() error {
	_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	switch {
	case errno == syscall.ENOTSUP:
		return errors.New("this binary is linked with C and cannot set no_new_privs for all threads; build it with CGO_ENABLED=0")
	case errno != 0:
		return fmt.Errorf("no_new_privs: %w", errno)
	}
	return nil
}
