package catch

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestASessionEndsAfterAMinute, whether the client talks slowly, says nothing, or does not read. The clock is the test's own.
func TestASessionEndsAfterAMinute(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration // between its octets; 0: it says nothing
		says  string
	}{{"one who says nothing", 0, ""}, {"one who says a command now and then", 9 * time.Second, "NOOP\r\n"}, {"one who says an octet now and then", 3 * time.Second, "N"}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				theirs, ours := net.Pipe()
				began, ended := time.Now(), make(chan time.Duration, 1)
				go func() {
					ours.SetDeadline(began.Add(sessionTime))
					d := &dialogue{hostname: "mx2.example.com", detail: detailOf(Hashed, func() []byte { return nil }), seen: Sighting{site: NewSite(nil, nil)}}
					converse(ours, d, 4*time.Second, began.Add(sessionTime))
					ours.Close()
					ended <- time.Since(began)
				}()
				var last string
				heard := make(chan struct{})
				go func() {
					defer close(heard)
					for in := bufio.NewScanner(theirs); in.Scan(); {
						last = in.Text()
					}
				}()
				time.Sleep(5 * time.Second) // it waits for the greeting
				for c.every > 0 {
					if _, err := fmt.Fprint(theirs, c.says); err != nil {
						break
					}
					time.Sleep(c.every)
				}
				if took := <-ended; took != sessionTime {
					t.Errorf("it took %v", took)
				}
				if <-heard; !strings.HasPrefix(last, "421 ") {
					t.Errorf("the last word is %q", last)
				}
			})
		})
	}
	t.Run("one who does not read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, ours := net.Pipe()
			began := time.Now()
			ours.SetDeadline(began.Add(sessionTime))
			converse(ours, &dialogue{hostname: "mx2.example.com"}, 0, began.Add(sessionTime))
			if took := time.Since(began); took != sessionTime {
				t.Errorf("it took %v", took)
			}
		})
	})
}
