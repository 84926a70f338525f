package system

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// dirEntry is where a path leads: a name in a directory that is open. Setup runs as root and also works in directories of
// nova's (on Debian /etc/nova is one). Whatever nova renames or links there meanwhile, a dirEntry stays the same.
type dirEntry struct {
	dir    *os.File
	name   string
	path   string // without links, for messages
	open   bool   // others than root may write to the directory
	sticky bool   // but not rename what is root's there, as in /tmp
	below  bool   // it is in a directory of others than root
}

// shared tells whether others than root decide what is there.
func (p *dirEntry) shared() bool { return p.open || p.below }

func (p *dirEntry) close() { _ = p.dir.Close() }

// openParent opens the directory of a path, one component after the other. It follows symbolic links only in directories to
// which nobody but root may write.
func openParent(path string) (*dirEntry, error) {
	const most = 40 // links, as in the kernel
	for range most {
		p, link, err := walk(path)
		if link == "" {
			return p, err
		}
		path = link
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
}

// walk returns, where there is a link on the way, the path with the link replaced by its target.
func walk(path string) (p *dirEntry, link string, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, "", err
	}
	names := strings.Split(strings.Trim(path, "/"), "/")
	p, err = openRoot()
	for i, name := range names {
		if err != nil {
			return nil, "", err
		}
		p.name = name
		var status unix.Stat_t
		err = unix.Fstatat(p.fd(), name, &status, unix.AT_SYMLINK_NOFOLLOW)
		last := i == len(names)-1
		switch {
		case err == nil && status.Mode&unix.S_IFMT == unix.S_IFLNK:
			link, err = p.followed(names[i+1:])
			p.close()
			return nil, link, err
		case last && (err == nil || errors.Is(err, fs.ErrNotExist)):
			p.path = path
			return p, "", nil
		case err != nil:
			p.close()
			return nil, "", &fs.PathError{Op: "open", Path: path, Err: err}
		}
		p, err = p.enter()
	}
	return nil, "", err
}

func openRoot() (*dirEntry, error) { return enter(unix.AT_FDCWD, "/", false) }

func (p *dirEntry) fd() int { return int(p.dir.Fd()) }

// enter opens the directory of that name, and closes the one that it is in.
func (p *dirEntry) enter() (*dirEntry, error) {
	defer p.close()
	inside, err := enter(p.fd(), p.name, p.below || p.open && !p.sticky)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(p.path, p.name), Err: err}
	}
	inside.path = filepath.Join(p.path, p.name)
	return inside, nil
}

func enter(fd int, name string, below bool) (*dirEntry, error) {
	fd, err := unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var status unix.Stat_t
	if err := unix.Fstat(fd, &status); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	ours := status.Uid == 0 || int(status.Uid) == os.Geteuid()
	others := status.Mode&0o002 != 0 || status.Mode&0o020 != 0 && status.Gid != 0
	return &dirEntry{
		dir: os.NewFile(uintptr(fd), name), path: "/", below: below,
		open: !ours || others, sticky: ours && status.Mode&unix.S_ISVTX != 0,
	}, nil
}

// followed returns the target of a link, joined with the rest of the path.
func (p *dirEntry) followed(rest []string) (string, error) {
	path := filepath.Join(p.path, p.name)
	if p.shared() {
		return "", linkError(path, p.path)
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(p.fd(), p.name, buffer)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	target := string(buffer[:n])
	if !filepath.IsAbs(target) {
		target = filepath.Join(p.path, target)
	}
	return filepath.Join(append([]string{target}, rest...)...), nil
}

// linkError is for a link that others than root can have made.
func linkError(path, dir string) error {
	return Advise(fmt.Errorf("%s is a symbolic link, and others than root may write to %s", path, dir),
		"see who made that link and where it leads; put the file itself in its place, then run this again")
}

// file opens a file for reading. It refuses what is no regular file, and hard links that others than root can have made.
func (p *dirEntry) file() (*os.File, unix.Stat_t, error) {
	var status unix.Stat_t
	fd, err := unix.Openat(p.fd(), p.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) { // it has become a link
		return nil, status, linkError(p.path, filepath.Dir(p.path))
	}
	if err != nil {
		return nil, status, &fs.PathError{Op: "open", Path: p.path, Err: err}
	}
	file := os.NewFile(uintptr(fd), p.path)
	if err = unix.Fstat(fd, &status); err == nil {
		err = p.check(status)
	}
	if err != nil {
		return nil, status, errors.Join(err, file.Close())
	}
	return file, status, nil
}

func (p *dirEntry) check(status unix.Stat_t) error {
	switch {
	case status.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%s is no regular file", p.path)
	case p.shared() && status.Nlink > 1:
		return Advise(fmt.Errorf("%s has a second name (a hard link), and others than root may write to its directory", p.path),
			"see which file that is ('find / -samefile'); put a file with one name in its place, then run this again")
	}
	return nil
}

// readAll reads a file, up to a limit where others than root can have made it larger.
func (p *dirEntry) readAll(file io.Reader, limit int64) ([]byte, error) {
	if !p.shared() {
		return io.ReadAll(file)
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%s is larger than %d MiB, and others than root may write to its directory", p.path, limit>>20)
	}
	return content, err
}

// replace puts a file in place by rename, so that no reader ever finds half of it.
func (p *dirEntry) replace(fill func(*os.File) error) error {
	temp := ".ndock-" + rand.Text()
	fd, err := unix.Openat(p.fd(), temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), filepath.Join(filepath.Dir(p.path), temp))
	err = errors.Join(fill(file), file.Close())
	if err == nil {
		err = unix.Renameat(p.fd(), temp, p.fd(), p.name)
	}
	if err != nil {
		_ = unix.Unlinkat(p.fd(), temp, 0) // the first error is the one that counts
	}
	return err
}

// makeDirectory makes a directory with this mode, whatever the umask.
func makeDirectory(path string, mode uint32) error {
	p, err := openParent(path)
	if err != nil {
		return err
	}
	defer p.close()
	if err := unix.Mkdirat(p.fd(), p.name, mode); err != nil {
		return err
	}
	fd, err := unix.Openat(p.fd(), p.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fchmod(fd, mode), unix.Close(fd))
}

// RemoveFile removes a file or an empty directory.
func RemoveFile(path string) error {
	p, err := openParent(path)
	if err != nil {
		return err
	}
	defer p.close()
	err = unix.Unlinkat(p.fd(), p.name, 0)
	if errors.Is(err, unix.EISDIR) {
		err = unix.Unlinkat(p.fd(), p.name, unix.AT_REMOVEDIR)
	}
	return err
}

// RemoveAll removes a directory with its content, if there is one, and follows no link there.
func RemoveAll(path string) error {
	p, err := openParent(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.close()
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", p.fd()))
	if err != nil {
		return err
	}
	return errors.Join(root.RemoveAll(p.name), root.Close())
}

// RemoveEmpty removes a directory that is empty, and tells whether it did.
func RemoveEmpty(path string) bool {
	p, err := openParent(path)
	if err != nil {
		return false
	}
	defer p.close()
	return unix.Unlinkat(p.fd(), p.name, unix.AT_REMOVEDIR) == nil
}

// textLimit is the largest text that is read in a directory of others than root.
const textLimit = 16 << 20

// ReadFile reads a file as os.ReadFile does, but follows no link of others than root, waits for no pipe and has a limit.
func ReadFile(path string) ([]byte, error) {
	return readFile(path, func(*dirEntry, unix.Stat_t) error { return nil })
}

// ReadPrivate reads a file that decides what root does, and refuses one that others than root can have written.
func ReadPrivate(path string) ([]byte, error) {
	return readFile(path, func(p *dirEntry, status unix.Stat_t) error {
		if p.shared() || int(status.Uid) != os.Geteuid() && status.Uid != 0 || status.Mode&0o022 != 0 {
			return Advise(errors.New("others than root may write to it, or to its directory"), "see who changed that, and what is in it; make it root's again with mode 0600")
		}
		return nil
	})
}

// readFile reads a file once it is open and allowed, so that nobody can put another in its place between.
func readFile(path string, allow func(*dirEntry, unix.Stat_t) error) ([]byte, error) {
	p, err := openParent(path)
	if err != nil {
		return nil, err
	}
	defer p.close()
	file, status, err := p.file()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := allow(p, status); err != nil {
		return nil, err
	}
	return p.readAll(file, textLimit)
}

// CheckRoots returns an error where others than root can put another file at a path, or change the directories that it is in.
// A path that is not there yet is judged by the directories that are. Only root is told: another's own files, as in a dry run
// on a tree of his, may well be his group's too.
func CheckRoots(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	p, err := openParent(path)
	for errors.Is(err, fs.ErrNotExist) && path != "/" {
		path = filepath.Dir(path)
		p, err = openParent(path)
	}
	if err != nil {
		return FileError("look at", path, err)
	}
	defer p.close()
	if p.shared() {
		return Advise(fmt.Errorf("others than root may write to the directory of %s, or to one above it, and what is there runs as root", path),
			"see who changed that, and make these directories root's again with mode 0755")
	}
	return nil
}

// ReadDir lists a directory as os.ReadDir does, but follows no link of others than root.
func ReadDir(path string) ([]fs.DirEntry, error) {
	p, err := openParent(path)
	if err != nil {
		return nil, err
	}
	p.close()
	return os.ReadDir(p.path)
}

// ReadTail returns what a file has from an offset on, but at most its last limit bytes. A file that is shorter than the
// offset was truncated since, and is read from its start.
func ReadTail(path string, from, limit int64) ([]byte, error) {
	p, err := openParent(path)
	if err != nil {
		return nil, err
	}
	defer p.close()
	file, status, err := p.file()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if from > status.Size {
		from = 0
	}
	return io.ReadAll(io.NewSectionReader(file, max(from, status.Size-limit), limit))
}
