// Package htpasswd reads and edits files of logins as Apache's htpasswd -B makes them, USER:BCRYPT-HASH a line, and is
// the auth.Source of a registry that has such a file.
package htpasswd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/crypto/bcrypt"
)

// MaxPassword is how many bytes of a password bcrypt uses.
const MaxPassword = 72

// MaxUser is the longest user name, in bytes.
const MaxUser = 255

// A Login is a line of a file.
type Login struct{ User, hash string }

// New hashes a password.
func New(user, password string) (Login, error) {
	if err := CheckUser(user); err != nil {
		return Login{}, err
	}
	if err := CheckPassword(password); err != nil {
		return Login{}, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return Login{}, fmt.Errorf("hash the password of %q: %w", user, err)
	}
	return Login{User: user, hash: string(hash)}, nil
}

// Line returns the line in the file.
func (l Login) Line() []byte { return []byte(l.User + ":" + l.hash + "\n") }

// Is returns whether the login lets in this user with this password.
func (l Login) Is(user, password string) bool {
	return l.User == user && bcrypt.CompareHashAndPassword([]byte(l.hash), []byte(password)) == nil
}

// CheckUser refuses names that the file format cannot hold.
func CheckUser(user string) error {
	switch {
	case user == "":
		return errors.New("the user name is empty")
	case len(user) > MaxUser:
		return fmt.Errorf("the user name is longer than %d bytes", MaxUser)
	case strings.ContainsFunc(user, func(r rune) bool { return r == ':' || unicode.IsControl(r) || unicode.IsSpace(r) }) || user[0] == '#':
		return fmt.Errorf("user name %q has a colon or space in it, or begins with #", user)
	}
	return nil
}

// CheckPassword refuses passwords of which bcrypt would use only a part.
func CheckPassword(password string) error {
	switch {
	case password == "":
		return errors.New("the password is empty")
	case len(password) > MaxPassword:
		return fmt.Errorf("the password is longer than %d bytes", MaxPassword)
	}
	return nil
}

// NotBcrypt is the error of a line with another kind of hash.
type NotBcrypt struct {
	Line int
	User string
}

func (e *NotBcrypt) Error() string {
	return fmt.Sprintf("line %d, user %q: the hash is not bcrypt's", e.Line, e.User)
}

// Hint returns what may help.
func (*NotBcrypt) Hint() string { return "make the file with htpasswd -B" }

// Parse reads a file. Its errors quote no line, because lines have secrets in them.
func Parse(text []byte) ([]Login, error) {
	var logins []Login
	number := 0
	for line := range bytes.Lines(text) {
		number++
		user, ok := userOf(line)
		if !ok {
			if isComment(line) {
				continue
			}
			return nil, fmt.Errorf("line %d is not USER:HASH", number)
		}
		_, hash, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return nil, &NotBcrypt{Line: number, User: user}
		}
		logins = append(logins, Login{User: user, hash: hash})
	}
	return logins, nil
}

func isComment(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#'
}

// userOf returns the user of a line, if it is a login.
func userOf(line []byte) (string, bool) {
	user, _, ok := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
	return string(user), ok && !isComment(line)
}

// Read reads a file that lets in at least one user.
func Read(file string) ([]Login, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the logins: %w", err)
	}
	logins, err := Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the logins in %q: %w", file, err)
	case len(logins) == 0:
		return nil, fmt.Errorf("read the logins in %q: there are none", file)
	}
	return logins, nil
}

// Users returns the names of the users in a file.
func Users(text []byte) []string {
	logins, _ := Parse(text)
	names := make([]string, 0, len(logins))
	for _, l := range logins {
		names = append(names, l.User)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Set returns the file with a login, which replaces that of the same user. All else stays as it is.
func Set(text []byte, l Login) []byte {
	var edited []byte
	done := false
	for line := range bytes.Lines(text) {
		if user, ok := userOf(line); !ok || user != l.User {
			edited = append(edited, line...)
		} else if !done {
			edited, done = append(edited, l.Line()...), true
		}
	}
	if done {
		return edited
	}
	if len(edited) > 0 && !bytes.HasSuffix(edited, []byte("\n")) {
		edited = append(edited, '\n')
	}
	return append(edited, l.Line()...)
}

// Without returns the file without a user's login.
func Without(text []byte, user string) []byte {
	var edited []byte
	for line := range bytes.Lines(text) {
		if name, ok := userOf(line); !ok || name != user {
			edited = append(edited, line...)
		}
	}
	return edited
}
