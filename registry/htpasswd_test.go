package registry

import (
	"slices"
	"strings"
	"testing"
)

func TestLogin(t *testing.T) {
	made, err := newLogin("ci", "sésame:1")
	if err != nil {
		t.Fatal(err)
	}
	logins, err := parseLogins(made.line())
	if err != nil || len(logins) != 1 {
		t.Fatalf("read back %v, %v", logins, err)
	}
	if !logins[0].is("ci", "sésame:1") {
		t.Error("the password does not let its user in")
	}
	if logins[0].is("ci", "other") || logins[0].is("other", "sésame:1") {
		t.Error("somebody else is let in")
	}
	if strings.Contains(string(made.line()), "sésame") {
		t.Error("the password can be read")
	}
	_, err = newLogin("ci", strings.Repeat("x", maxPassword+1))
	wantError(t, err, `the password of "ci" is longer than 72 bytes`)
}

func TestParseLogins(t *testing.T) {
	const hash = "$2a$10$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, test := range map[string]struct{ text, want string }{
		"comments and blank lines": {"# who\n\nbob:" + hash + "\r\nal:" + hash + "\n", ""},
		"no colon":                 {"\nsecret\n", "line 2 is not USER:HASH"},
		"apr1":                     {"bob:$apr1$x$secret", `line 1, user "bob": the hash is not bcrypt's`},
		"plain":                    {"bob:secret", `line 1, user "bob": the hash is not bcrypt's`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseLogins([]byte(test.text))
			wantError(t, err, test.want)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	if got := users([]byte("bob:" + hash + "\nal:" + hash)); !slices.Equal(got, []string{"al", "bob"}) {
		t.Errorf("users are %v", got)
	}
	wantError(t, checkLogins(write(t, []byte("# nobody\n"))), "there are none")
	wantError(t, checkLogins("missing"), "read the logins: open missing: no such file")
}

func TestCheckUser(t *testing.T) {
	for user, want := range map[string]string{
		"ci": "", "ci@example.com": "", "": "is empty", "a:b": "colon", "a b": "space", "a\nb": "space", "#a": "#",
	} {
		wantError(t, checkUser(user), want)
	}
}
