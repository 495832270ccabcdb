package demo

import (
	"strings"
	"testing"
	"time"
)

// TestTheStoryIsTrue plays it: no honest sender is listed or loses a message, and the bots that come to decoys are listed for what they did.
func TestTheStoryIsTrue(t *testing.T) {
	var told strings.Builder
	if err := Run(t.Context(), 15*time.Second, &told); err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	for _, want := range []string{
		"LISTED 127.0.11.1 (bot: highest number) as 127.0.0.5: went on to DATA",
		"LISTED 127.0.30.1 (bot: speaks too early) as 127.0.0.2: spoke no SMTP, or before the greeting, in two sessions",
		"bot: highest number (127.0.11.1) at mail, a primary: 554 5.7.1 blocked using bl.example.com",
		"large sender (127.0.5.1) at mx2, a decoy: 451",
		"news (127.0.2.1) at mx2, a decoy: 421",
		"LISTED 127.0.17.1 (savvy bot: highest name but the primary's) as 127.0.0.4: tried a decoy and no real host",
		"PARDONED 127.0.40.1 (bot: in a shared network)",
		"honest senders delivered, none was ever listed.",
	} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("nothing is told of %q", want)
		}
	}
	if t.Failed() {
		t.Log(told.String())
	}
}
