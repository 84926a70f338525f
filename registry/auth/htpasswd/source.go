package htpasswd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	distauth "github.com/distribution/distribution/v3/registry/auth"
	"golang.org/x/crypto/bcrypt"

	"ndock/registry/auth"
)

// Source lets in the users in a file, to everything. It reads the file again when that changes, and ignores a file that
// cannot be read or has no users.
type Source struct {
	file  string
	log   *slog.Logger
	slots chan struct{} // bcrypt takes a processor for a while; requests shall have one, too

	mu     sync.Mutex
	seen   fileState
	number int // of the generation
	logins map[string]Login
	nobody Login // is compared where there is no such user, so that it takes as long
}

var _ auth.Source = (*Source)(nil)

// fileState tells one state of a file from another, also where the writer sets the time, as Docker does.
type fileState struct {
	inode, size    uint64
	changed, write syscall.Timespec
}

// NewSource reads the file for the first time.
func NewSource(file string, log *slog.Logger) (*Source, error) {
	s := &Source{file: file, log: log, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	var err error
	if s.seen, err = statFile(file); err != nil {
		return nil, err
	}
	logins, err := Read(file)
	if err != nil {
		return nil, err
	}
	return s, s.setLogins(logins)
}

// Controller is the constructor that distribution calls with the parameters of auth.htpasswd: path, realm, and log, a
// *slog.Logger.
func Controller(parameters map[string]any) (distauth.AccessController, error) {
	file, _ := parameters["path"].(string)
	realm, _ := parameters["realm"].(string)
	log, ok := parameters["log"].(*slog.Logger)
	if !ok {
		log = slog.Default()
	}
	if file == "" {
		return nil, fmt.Errorf("auth.htpasswd: path is missing: the file of the logins")
	}
	source, err := NewSource(file, log)
	if err != nil {
		return nil, err
	}
	return auth.New(source, realm, log), nil
}

func statFile(file string) (fileState, error) {
	info, err := os.Stat(file)
	if err != nil {
		return fileState{}, fmt.Errorf("read the logins: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileState{}, fmt.Errorf("read the logins: %q has no inode", file)
	}
	return fileState{stat.Ino, uint64(stat.Size), stat.Ctim, stat.Mtim}, nil
}

// setLogins replaces the logins.
func (s *Source) setLogins(logins []Login) error {
	cost := bcrypt.MinCost
	byUser := make(map[string]Login, len(logins))
	for _, one := range logins {
		its, err := bcrypt.Cost([]byte(one.hash))
		if err != nil {
			return err
		}
		cost = max(cost, its)
		if _, twice := byUser[one.User]; !twice { // the first counts, as with Apache
			byUser[one.User] = one
		}
	}
	if known, err := bcrypt.Cost([]byte(s.nobody.hash)); err != nil || known != cost {
		hash, err := bcrypt.GenerateFromPassword([]byte(time.Now().String()), cost)
		if err != nil {
			return err
		}
		s.nobody = Login{hash: string(hash)}
	}
	s.logins = byUser
	s.number++
	return nil
}

// Generation implements auth.Source. It checks whether the file has changed.
func (s *Source) Generation() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := statFile(s.file)
	if now != s.seen {
		s.seen = now
		var logins []Login
		if err == nil {
			logins, err = Read(s.file)
		}
		if err == nil {
			err = s.setLogins(logins)
		}
		if err != nil {
			s.log.Error("the logins of before go on", "error", err)
		} else {
			s.log.Info("read the logins again", "file", s.file, "users", len(logins))
		}
	}
	return strconv.Itoa(s.number)
}

// Check implements auth.Source.
func (s *Source) Check(ctx context.Context, user, password string) (auth.Identity, error) {
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("check the password of %q: too many are being checked: %w", user, ctx.Err())
	case s.slots <- struct{}{}:
	}
	defer func() { <-s.slots }()
	s.mu.Lock()
	login, there := s.logins[user]
	if !there {
		login = s.nobody
	}
	s.mu.Unlock()
	if right := login.Is(login.User, password); !right || !there {
		return nil, auth.ErrWrong
	}
	return identity(user), nil
}

// Anyone implements auth.Source. Nobody comes in without a login.
func (*Source) Anyone() auth.Identity { return nil }

// identity is a user who may do everything.
type identity string

func (i identity) Name() string { return string(i) }

func (identity) May(context.Context, ...distauth.Access) error { return nil }

func (identity) Expires() time.Time { return time.Time{} }
