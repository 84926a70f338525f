package htpasswd

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"ndock/registry/internal/registrytest"
)

func TestLogin(t *testing.T) {
	made, err := New("ci", "sésame:1")
	if err != nil {
		t.Fatal(err)
	}
	logins, err := Parse(made.Line())
	if err != nil || len(logins) != 1 {
		t.Fatalf("read back %v, %v", logins, err)
	}
	if !logins[0].Is("ci", "sésame:1") {
		t.Error("the password does not let its user in")
	}
	if logins[0].Is("ci", "other") || logins[0].Is("other", "sésame:1") {
		t.Error("somebody else is let in")
	}
	if strings.Contains(string(made.Line()), "sésame") {
		t.Error("the password can be read")
	}
	_, err = New("ci", strings.Repeat("x", MaxPassword+1))
	registrytest.WantError(t, err, "the password is longer than 72 bytes")
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
			_, err := Parse([]byte(test.text))
			registrytest.WantError(t, err, test.want)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	if got := Users([]byte("bob:" + hash + "\nal:" + hash)); !slices.Equal(got, []string{"al", "bob"}) {
		t.Errorf("users are %v", got)
	}
	_, err := Read(registrytest.Write(t, []byte("# nobody\n")))
	registrytest.WantError(t, err, "there are none")
	_, err = Read("missing")
	registrytest.WantError(t, err, "read the logins: open missing: no such file")
}

func TestCheckUser(t *testing.T) {
	for user, want := range map[string]string{
		"ci": "", "ci@example.com": "", "": "is empty", "a:b": "colon", "a b": "space", "a\nb": "space", "#a": "#",
	} {
		registrytest.WantError(t, CheckUser(user), want)
	}
}

func TestEdit(t *testing.T) {
	bob, al := login(t, "bob", "1"), login(t, "al", "2")
	text := "# who\n" + string(bob.Line()) + "\n" + strings.TrimSuffix(string(al.Line()), "\n")
	newer := login(t, "bob", "3")
	if got, want := string(Set([]byte(text), newer)), strings.Replace(text, string(bob.Line()), string(newer.Line()), 1); got != want {
		t.Errorf("replaced: %q, want %q", got, want)
	}
	eve := login(t, "eve", "4")
	if got, want := string(Set([]byte(text), eve)), text+"\n"+string(eve.Line()); got != want {
		t.Errorf("added: %q, want %q", got, want)
	}
	if got, want := string(Without([]byte(text), "al")), "# who\n"+string(bob.Line())+"\n"; got != want {
		t.Errorf("removed: %q, want %q", got, want)
	}
	if got := string(Without([]byte(text), "# who")); got != text {
		t.Errorf("a comment is taken for a user: %q", got)
	}
}

// Whatever is edited can be read again, and says the same of all others.
func FuzzEdit(f *testing.F) {
	const hash = "$2a$04$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	f.Add([]byte("# who\nbob:"+hash+"\n\nal:"+hash), "bob")
	f.Add([]byte("bob:"+hash+"\r\nbob:"+hash+"\n"), "bob")
	f.Add([]byte(" bob :"+hash), "bob")
	f.Add([]byte("secret"), "al")
	f.Fuzz(func(t *testing.T, text []byte, user string) {
		logins, err := Parse(text)
		if err != nil || CheckUser(user) != nil {
			return
		}
		others := slices.DeleteFunc(slices.Clone(logins), func(l Login) bool { return l.User == user })
		after, err := Parse(Without(text, user))
		if err != nil || !slices.Equal(after, others) {
			t.Fatalf("without %q: %v, %v; want %v", user, after, err, others)
		}
		after, err = Parse(Set(text, Login{user, hash}))
		if err != nil || !slices.Contains(after, Login{user, hash}) || len(after) != len(others)+1 {
			t.Fatalf("with %q: %v, %v", user, after, err)
		}
	})
}

// login is cheap to check.
func login(t *testing.T, user, password string) Login {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return Login{user, string(hash)}
}
