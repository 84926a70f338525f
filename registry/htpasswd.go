package registry

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/crypto/bcrypt"
)

// maxPassword is as much as bcrypt looks at.
const maxPassword = 72

// A login is one line of an htpasswd file.
type login struct{ user, hash string }

// newLogin hashes a password.
func newLogin(user, password string) (login, error) {
	if len(password) > maxPassword {
		return login{}, fmt.Errorf("the password of %q is longer than %d bytes", user, maxPassword)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return login{}, fmt.Errorf("hash the password of %q: %w", user, err)
	}
	return login{user: user, hash: string(hash)}, nil
}

// line is how htpasswd files have it.
func (l login) line() []byte { return []byte(l.user + ":" + l.hash + "\n") }

// is tells whether it lets this user in with this password.
func (l login) is(user, password string) bool {
	return l.user == user && bcrypt.CompareHashAndPassword([]byte(l.hash), []byte(password)) == nil
}

func checkUser(user string) error {
	if user == "" {
		return errors.New("the user name is empty")
	}
	if strings.ContainsFunc(user, func(r rune) bool { return r == ':' || unicode.IsControl(r) || unicode.IsSpace(r) }) || user[0] == '#' {
		return fmt.Errorf("user name %q has a colon or space in it, or begins with #", user)
	}
	return nil
}

// parseLogins reads an htpasswd file. No error quotes a line of it, for there are secrets in it.
func parseLogins(text []byte) ([]login, error) {
	var logins []login
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		user, hash, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("line %d is not USER:HASH", i+1)
		}
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return nil, &Error{Op: fmt.Sprintf("line %d, user %q", i+1, user), Err: errors.New("the hash is not bcrypt's"), hint: "make the file with htpasswd -B"}
		}
		logins = append(logins, login{user: user, hash: hash})
	}
	return logins, nil
}

// checkLogins refuses a file that would let nobody in. (A missing one would be made up by distribution.)
func checkLogins(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the logins: %w", err)
	}
	logins, err := parseLogins(text)
	switch {
	case err != nil:
		return fmt.Errorf("read the logins in %q: %w", file, err)
	case len(logins) == 0:
		return fmt.Errorf("read the logins in %q: there are none", file)
	}
	return nil
}

// users are the names of those whom an htpasswd file lets in.
func users(text []byte) []string {
	logins, _ := parseLogins(text)
	names := make([]string, 0, len(logins))
	for _, l := range logins {
		names = append(names, l.user)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
