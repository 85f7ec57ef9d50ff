// S3's REST calls that a file system needs, signed, tried again when the fault is S3's, errors by name.
package pipeline.s3;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.AccessDeniedException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

final class S3Client {
    static final int TRIES = 5;
    static final int LISTED = 1000; // S3's own most, for a page of a listing and for one DeleteObjects
    private static final byte[] NOTHING = new byte[0];

    private final HttpClient http;
    private final Signature signature;
    private final String endpoint;
    private final String host;

    S3Client(String endpoint, Signature signature) {
        URI address = URI.create(endpoint);
        this.endpoint = address.getScheme() + "://" + address.getRawAuthority();
        boolean usual = address.getPort() == ("https".equals(address.getScheme()) ? 443 : 80);
        this.host = usual ? address.getHost() : address.getRawAuthority();
        this.signature = signature;
        this.http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(Duration.ofSeconds(10)).build();
    }

    /** A client of the environment's endpoint, with its credentials. */
    static S3Client ofEnvironment() throws IOException {
        String endpoint = variable("AWS_ENDPOINT_URL_S3", System.getenv("AWS_ENDPOINT_URL"));
        String keyId = System.getenv("AWS_ACCESS_KEY_ID");
        String secret = System.getenv("AWS_SECRET_ACCESS_KEY");
        if (endpoint == null || keyId == null || secret == null) {
            throw new IOException(
                "s3:// needs AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment");
        }
        String region = variable("AWS_REGION", variable("AWS_DEFAULT_REGION", "us-east-1"));
        return new S3Client(
            endpoint, new Signature(keyId, secret, System.getenv("AWS_SESSION_TOKEN"), region));
    }

    private static String variable(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.length() == 0 ? otherwise : value;
    }

    /** The object's head; null when there is none. */
    Answer head(String bucket, String key) throws IOException {
        try {
            return call("HEAD", "s3:GetObject", bucket, key, null, null, NOTHING);
        } catch (FileNotFoundException absent) {
            return null;
        }
    }

    /** Bytes `first` to `last` (both within the object) of the object with that ETag. */
    byte[] range(String bucket, String key, long first, long last, String etag) throws IOException {
        Map headers = new TreeMap();
        headers.put("range", "bytes=" + first + "-" + last);
        if (etag != null) {
            headers.put("if-match", etag);
        }
        for (int tried = 1; ; tried++) {
            byte[] body = call("GET", "s3:GetObject", bucket, key, null, headers, NOTHING).body;
            if (body.length == last - first + 1) {
                return body;
            }
            if (tried == TRIES) {
                throw new IOException("s3://" + bucket + "/" + key + ": " + body.length + " bytes came of "
                    + (last - first + 1) + " at " + first);
            }
        }
    }

    void put(String bucket, String key, byte[] body) throws IOException {
        call("PUT", "s3:PutObject", bucket, key, null, null, body);
    }

    /** Copy within S3; `from` and `to` as bucket, key. */
    void copy(String[] from, String[] to) throws IOException {
        Map headers = new TreeMap();
        headers.put("x-amz-copy-source", "/" + Signature.encode(from[0] + "/" + from[1], true));
        String what = "s3:GetObject of s3://" + from[0] + "/" + from[1] + " or s3:PutObject";
        errorIn200(call("PUT", what, to[0], to[1], null, headers, NOTHING), what, to[0], to[1]);
    }

    /** Delete at most LISTED objects. */
    void delete(String bucket, List keys) throws IOException {
        StringBuilder xml = new StringBuilder("<Delete><Quiet>true</Quiet>");
        for (Iterator each = keys.iterator(); each.hasNext();) {
            xml.append("<Object><Key>").append(Answer.escape((String) each.next())).append("</Key></Object>");
        }
        byte[] body = Signature.utf8(xml.append("</Delete>").toString());
        Map headers = new TreeMap();
        headers.put("content-md5", Base64.getEncoder().encodeToString(Signature.digest("MD5", body)));
        Map query = new TreeMap();
        query.put("delete", "");
        String text = call("POST", "s3:DeleteObject", bucket, "", query, headers, body).text();
        List errors = Answer.elements(text, "Error");
        if (!errors.isEmpty()) {
            String error = (String) errors.get(0);
            throw named(403, error, "s3:DeleteObject", bucket, Answer.element(error, "Key"));
        }
    }

    /** One page of a listing. `from` is the last page's NextContinuationToken, or null. */
    String list(String bucket, String prefix, boolean deep, int most, String from) throws IOException {
        Map query = new TreeMap();
        query.put("list-type", "2");
        query.put("max-keys", String.valueOf(most));
        query.put("prefix", prefix);
        if (!deep) {
            query.put("delimiter", "/");
        }
        if (from != null) {
            query.put("continuation-token", from);
        }
        return call("GET", "s3:ListBucket", bucket, "", query, null, NOTHING).text();
    }

    String startUpload(String bucket, String key) throws IOException {
        Map query = new TreeMap();
        query.put("uploads", "");
        return Answer.element(
            call("POST", "s3:PutObject", bucket, key, query, null, NOTHING).text(), "UploadId");
    }

    /** Upload a part; its ETag. */
    String part(String bucket, String key, String upload, int number, byte[] body) throws IOException {
        return call("PUT", "s3:PutObject", bucket, key, part(upload, number), null, body).header("etag");
    }

    /** Take bytes `first` to `last` of another object for a part; its ETag. */
    String partOf(String[] from, String[] to, String upload, int number, long first, long last)
            throws IOException {
        Map headers = new TreeMap();
        headers.put("x-amz-copy-source", "/" + Signature.encode(from[0] + "/" + from[1], true));
        headers.put("x-amz-copy-source-range", "bytes=" + first + "-" + last);
        Answer answer = call("PUT", "s3:PutObject", to[0], to[1], part(upload, number), headers, NOTHING);
        errorIn200(answer, "s3:PutObject", to[0], to[1]);
        return Answer.element(answer.text(), "ETag");
    }

    private static Map part(String upload, int number) {
        Map query = new TreeMap();
        query.put("partNumber", String.valueOf(number));
        query.put("uploadId", upload);
        return query;
    }

    void finishUpload(String bucket, String key, String upload, List etags) throws IOException {
        StringBuilder xml = new StringBuilder("<CompleteMultipartUpload>");
        for (int i = 0; i < etags.size(); i++) {
            xml.append("<Part><PartNumber>").append(i + 1).append("</PartNumber><ETag>")
                .append(Answer.escape((String) etags.get(i))).append("</ETag></Part>");
        }
        byte[] body = Signature.utf8(xml.append("</CompleteMultipartUpload>").toString());
        Map query = new TreeMap();
        query.put("uploadId", upload);
        Answer answer = call("POST", "s3:PutObject", bucket, key, query, null, body);
        errorIn200(answer, "s3:PutObject", bucket, key);
    }

    void abortUpload(String bucket, String key, String upload) throws IOException {
        Map query = new TreeMap();
        query.put("uploadId", upload);
        call("DELETE", "s3:AbortMultipartUpload", bucket, key, query, null, NOTHING);
    }

    /** S3 answers some calls with 200 before it knows, and says in the body that they failed. */
    private static void errorIn200(Answer answer, String action, String bucket, String key) throws IOException {
        if (answer.text().indexOf("<Error>") >= 0) {
            throw named(500, answer.text(), action, bucket, key);
        }
    }

    private Answer call(String method, String action, String bucket, String key, Map query, Map headers,
            byte[] body) throws IOException {
        String path = "/" + Signature.encode(bucket, true) + (key.length() > 0 ? "/" : "")
            + Signature.encode(key, true);
        String asked = queryString(query);
        IOException last = null;
        for (int tried = 0; tried < TRIES; tried++) {
            pause(tried);
            Answer answer;
            try {
                answer = send(method, path, asked, headers, body);
            } catch (InterruptedIOException stopped) {
                throw stopped;
            } catch (IOException broken) {
                last = broken;
                continue;
            }
            if (answer.status < 300) {
                return answer;
            }
            last = named(answer.status, answer.text(), action, bucket, key);
            if (answer.status < 500 && answer.status != 429) {
                throw last;
            }
        }
        throw last instanceof FileNotFoundException ? last
            : new IOException("s3://" + bucket + "/" + key + ": " + action + " failed " + TRIES + " times: "
                + last.getMessage(), last);
    }

    private Answer send(String method, String path, String query, Map headers, byte[] body) throws IOException {
        Map given = new TreeMap();
        if (headers != null) {
            given.putAll(headers);
        }
        given.put("host", this.host);
        Map signed = this.signature.headers(method, path, query, given, body);
        signed.remove("host"); // the client writes it itself, and lets nobody else
        HttpRequest.Builder request = HttpRequest.newBuilder()
            .uri(URI.create(this.endpoint + path + (query.length() > 0 ? "?" + query : "")))
            .timeout(Duration.ofSeconds(120));
        for (Iterator each = signed.entrySet().iterator(); each.hasNext();) {
            Map.Entry entry = (Map.Entry) each.next();
            request.header((String) entry.getKey(), (String) entry.getValue());
        }
        boolean sends = "PUT".equals(method) || "POST".equals(method);
        request.method(method, sends ? HttpRequest.BodyPublishers.ofByteArray(body)
            : HttpRequest.BodyPublishers.noBody());
        try {
            HttpResponse response = this.http.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
            return new Answer(response.statusCode(), response.headers(), (byte[]) response.body());
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("stopped while waiting for S3");
        }
    }

    private static String queryString(Map query) {
        List pairs = new ArrayList();
        if (query != null) {
            for (Iterator each = query.entrySet().iterator(); each.hasNext();) {
                Map.Entry entry = (Map.Entry) each.next();
                pairs.add(Signature.encode((String) entry.getKey(), false) + "="
                    + Signature.encode((String) entry.getValue(), false));
            }
        }
        return String.join("&", pairs);
    }

    private static void pause(int tried) throws IOException {
        if (tried > 0) {
            try {
                Thread.sleep((long) ((100L << tried) * (0.5 + Math.random() / 2)));
            } catch (InterruptedException stopped) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("stopped while waiting to ask S3 again");
            }
        }
    }

    /** The error that a file system's caller knows, with what was asked of what. */
    private static IOException named(int status, String xml, String action, String bucket, String key) {
        String address = "s3://" + bucket + "/" + (key == null ? "" : key);
        String code = Answer.element(xml, "Code");
        String message = Answer.element(xml, "Message");
        if (status == 403 || "AccessDenied".equals(code)) {
            String why = "AccessDenied: " + action + (message == null ? "" : ": " + message);
            return new AccessDeniedException(address, null, why);
        }
        if (status == 404) {
            return new FileNotFoundException(address + ": "
                + ("NoSuchBucket".equals(code) ? "no such bucket" : "no such object"));
        }
        return new IOException(address + ": " + action + ": " + (code == null ? "HTTP " + status : code)
            + (message == null ? "" : ": " + message));
    }
}
