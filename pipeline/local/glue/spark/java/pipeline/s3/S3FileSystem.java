// s3:// for Hadoop, so that Spark reads and writes the local target's S3 as EMRFS does on Glue.
//
// A folder is no thing of its own in S3: it exists while a key lies below it, or when this process made it
// (no marker objects, which a training job would take for data). An object appears when its stream is
// closed, whole. A rename is a copy and a delete, object by object: not atomic, and never relied upon by
// whoever reads a dataset by its manifest.
package pipeline.s3;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.PathIOException;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

public final class S3FileSystem extends FileSystem {
    private static final long BLOCK = 32L * 1024 * 1024;
    /** A copy in one call can't be larger (S3's limit). */
    private static final long LARGEST_COPY = 5L * 1024 * 1024 * 1024;
    private static final int PART = 8 * 1024 * 1024;

    private final Set open = ConcurrentHashMap.newKeySet();
    private final Set made = ConcurrentHashMap.newKeySet();
    private URI uri;
    private String bucket;
    private S3Client client;
    private int partSize;
    private long copyLimit;

    public void initialize(URI name, Configuration configuration) throws IOException {
        super.initialize(name, configuration);
        setConf(configuration);
        this.bucket = name.getAuthority();
        if (this.bucket == null) {
            throw new IOException(name + " has no bucket");
        }
        this.uri = URI.create(name.getScheme() + "://" + this.bucket);
        this.client = S3Client.ofEnvironment();
        this.partSize = configuration.getInt("fs.s3.part.size", PART);
        this.copyLimit = configuration.getLong("fs.s3.copy.limit", LARGEST_COPY);
    }

    public String getScheme() {
        return this.uri.getScheme();
    }

    public URI getUri() {
        return this.uri;
    }

    public Path getWorkingDirectory() {
        return new Path(this.uri.toString() + "/");
    }

    public void setWorkingDirectory(Path path) {
        if (!path.makeQualified(this.uri, getWorkingDirectory()).isRoot()) {
            throw new UnsupportedOperationException("s3:// paths are absolute");
        }
    }

    private String key(Path path) {
        checkPath(path);
        String text = path.makeQualified(this.uri, getWorkingDirectory()).toUri().getPath();
        return text.length() > 0 ? text.substring(1) : "";
    }

    private Path path(String key) {
        return new Path(this.uri.getScheme(), this.bucket, "/" + key);
    }

    private static String below(String key) {
        return key.length() == 0 ? "" : key + "/";
    }

    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        Answer head = head(key(path));
        if (head == null) {
            FileStatus folder = getFileStatus(path); // says that there is nothing, if so
            throw new FileNotFoundException(folder.getPath() + " is a folder");
        }
        return new FSDataInputStream(new S3Input(
            this.client, this.bucket, key(path), length(head), head.header("etag"), this.statistics));
    }

    public FSDataOutputStream create(Path path, FsPermission permission, boolean overwrite, int bufferSize,
            short replication, long blockSize, Progressable progress) throws IOException {
        String key = key(path);
        if (key.length() == 0 || isFolder(key)) {
            throw new FileAlreadyExistsException(path + " is a folder");
        }
        if (!overwrite && head(key) != null) {
            throw new FileAlreadyExistsException(path + " exists");
        }
        return new FSDataOutputStream(
            new S3Output(this.client, this.bucket, key, this.partSize, this.open, this.statistics), null);
    }

    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress) throws IOException {
        throw new UnsupportedOperationException(path + ": an object of S3 can't be appended to");
    }

    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        String key = key(path);
        if (key.length() > 0 && !this.made.contains(key)) {
            if (head(key) != null) {
                throw new FileAlreadyExistsException(path + " is an object");
            }
            for (String each = key; each.length() > 0; each = each.substring(0, Math.max(0, each.lastIndexOf('/')))) {
                this.made.add(each);
            }
        }
        return true;
    }

    public FileStatus getFileStatus(Path path) throws IOException {
        String key = key(path);
        if (key.length() > 0) {
            Answer head = head(key);
            if (head != null) {
                return file(key, length(head), DateTimeFormatter.RFC_1123_DATE_TIME, head.header("last-modified"));
            }
        }
        if (!isFolder(key)) {
            throw new FileNotFoundException("No such file or directory: " + path(key));
        }
        return folder(key);
    }

    public FileStatus[] listStatus(Path path) throws IOException {
        String key = key(path);
        List found = new ArrayList();
        list(below(key), false, found);
        if (found.isEmpty()) {
            FileStatus only = getFileStatus(path);
            return only.isFile() ? new FileStatus[] {only} : new FileStatus[0];
        }
        return (FileStatus[]) found.toArray(new FileStatus[0]);
    }

    /** Everything with that prefix, page by page: FileStatus of objects and, unless deep, of folders. */
    private void list(String prefix, boolean deep, List found) throws IOException {
        String next = null;
        do {
            String page = this.client.list(this.bucket, prefix, deep, S3Client.LISTED, next);
            for (Iterator each = Answer.elements(page, "Contents").iterator(); each.hasNext();) {
                String entry = (String) each.next();
                String key = Answer.element(entry, "Key");
                if (deep || !key.endsWith("/")) {
                    found.add(file(key, Long.parseLong(Answer.element(entry, "Size")),
                        DateTimeFormatter.ISO_DATE_TIME, Answer.element(entry, "LastModified")));
                }
            }
            for (Iterator each = Answer.elements(page, "CommonPrefixes").iterator(); each.hasNext();) {
                String folder = Answer.element((String) each.next(), "Prefix");
                found.add(folder(folder.substring(0, folder.length() - 1)));
            }
            next = "true".equals(Answer.element(page, "IsTruncated"))
                ? Answer.element(page, "NextContinuationToken") : null;
        } while (next != null);
    }

    public boolean delete(Path path, boolean recursive) throws IOException {
        String key = key(path);
        List keys = new ArrayList();
        if (key.length() > 0 && head(key) != null) {
            keys.add(key);
        } else {
            List below = new ArrayList();
            list(below(key), true, below);
            if (below.isEmpty() && !forget(key)) {
                return false;
            }
            if (!below.isEmpty() && !recursive) {
                throw new PathIOException(path.toString(), "the folder is not empty");
            }
            for (Iterator each = below.iterator(); each.hasNext();) {
                keys.add(raw((FileStatus) each.next()));
            }
        }
        for (int from = 0; from < keys.size(); from += S3Client.LISTED) {
            this.client.delete(this.bucket, keys.subList(from, Math.min(from + S3Client.LISTED, keys.size())));
        }
        forget(key);
        return true;
    }

    public boolean rename(Path from, Path to) throws IOException {
        FileStatus source = getFileStatus(from);
        String target = key(to);
        if (head(target) != null) {
            return false;
        }
        if (isFolder(target)) {
            target = below(target) + from.getName();
            if (head(target) != null || isFolder(target)) {
                return false;
            }
        }
        String name = key(from);
        if (source.isFile()) {
            copy(name, target, source.getLen());
        } else if (below(target).startsWith(below(name))) {
            throw new PathIOException(from.toString(), "can't be moved into itself");
        } else {
            List all = new ArrayList();
            list(below(name), true, all);
            for (Iterator each = all.iterator(); each.hasNext();) {
                FileStatus object = (FileStatus) each.next();
                String key = raw(object);
                copy(key, target + key.substring(name.length()), object.getLen());
            }
            this.made.add(target);
        }
        delete(from, true);
        return true;
    }

    private void copy(String from, String to, long length) throws IOException {
        String[] source = new String[] {this.bucket, from};
        String[] target = new String[] {this.bucket, to};
        if (length <= this.copyLimit) {
            this.client.copy(source, target);
            return;
        }
        String upload = this.client.startUpload(this.bucket, to);
        try {
            List etags = new ArrayList();
            for (long at = 0; at < length; at += this.copyLimit) {
                long last = Math.min(at + this.copyLimit, length) - 1;
                etags.add(this.client.partOf(source, target, upload, etags.size() + 1, at, last));
            }
            this.client.finishUpload(this.bucket, to, upload, etags);
        } catch (IOException error) {
            try {
                this.client.abortUpload(this.bucket, to, upload);
            } catch (IOException second) {
                error.addSuppressed(second);
            }
            throw error;
        }
    }

    public BlockLocation[] getFileBlockLocations(FileStatus file, long start, long length) {
        return new BlockLocation[] {
            new BlockLocation(new String[] {"localhost"}, new String[] {"localhost"}, 0, file.getLen())
        };
    }

    public long getDefaultBlockSize() {
        return BLOCK;
    }

    /** What was never closed is given up: its writer ended without saying that it is whole. */
    public void close() throws IOException {
        for (Iterator each = new ArrayList(this.open).iterator(); each.hasNext();) {
            ((S3Output) each.next()).abort();
        }
        super.close();
    }

    private Answer head(String key) throws IOException {
        return key.length() == 0 ? null : this.client.head(this.bucket, key);
    }

    private boolean isFolder(String key) throws IOException {
        if (this.made.contains(key)) {
            return true;
        }
        String page = this.client.list(this.bucket, below(key), true, 1, null);
        return key.length() == 0 || page.indexOf("<Contents>") >= 0;
    }

    private boolean forget(String key) {
        boolean was = this.made.remove(key);
        for (Iterator each = new ArrayList(this.made).iterator(); each.hasNext();) {
            String other = (String) each.next();
            if (other.startsWith(below(key))) {
                this.made.remove(other);
            }
        }
        return was;
    }

    /** The object's key as S3 has it: a Path has lost the slash that some keys end in. */
    private String raw(FileStatus object) {
        return object instanceof S3Status ? ((S3Status) object).key : key(object.getPath());
    }

    private static long length(Answer head) {
        return Long.parseLong(head.header("content-length"));
    }

    private FileStatus folder(String key) {
        return new FileStatus(0, true, 1, BLOCK, 0, path(key));
    }

    private FileStatus file(String key, long length, DateTimeFormatter format, String changed) {
        long at = Instant.from(ZonedDateTime.parse(changed, format)).toEpochMilli();
        return new S3Status(key, length, at, path(key));
    }

    /** A FileStatus that knows its key. */
    private static final class S3Status extends FileStatus {
        private final String key;

        S3Status(String key, long length, long changed, Path path) {
            super(length, false, 1, BLOCK, changed, path);
            this.key = key;
        }
    }
}
