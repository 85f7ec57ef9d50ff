// Signs requests to S3 as AWS's Signature Version 4 says, with the credentials of the environment.
//
// The language is what Janino compiles (docs/decisions/0024): no lambdas, no inferred generic types.
package pipeline.s3;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Iterator;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

final class Signature {
    private static final String HEX = "0123456789abcdef";
    private static final DateTimeFormatter TIME =
        DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);

    private final String keyId;
    private final String secret;
    private final String token;
    private final String region;

    Signature(String keyId, String secret, String token, String region) {
        this.keyId = keyId;
        this.secret = secret;
        this.token = token;
        this.region = region;
    }

    /** The headers to send, given those of the request (lower case names, with `host`) and its encoded parts. */
    Map headers(String method, String path, String query, Map given, byte[] body) {
        String time = TIME.format(Instant.now());
        String day = time.substring(0, 8);
        String hash = hex(sha256(body));
        TreeMap signed = new TreeMap(given);
        signed.put("x-amz-date", time);
        signed.put("x-amz-content-sha256", hash);
        if (this.token != null && this.token.length() > 0) {
            signed.put("x-amz-security-token", this.token);
        }
        StringBuilder lines = new StringBuilder();
        StringBuilder names = new StringBuilder();
        for (Iterator each = signed.entrySet().iterator(); each.hasNext();) {
            Map.Entry entry = (Map.Entry) each.next();
            lines.append(entry.getKey()).append(':').append(((String) entry.getValue()).trim()).append('\n');
            names.append(names.length() == 0 ? "" : ";").append(entry.getKey());
        }
        String canonical =
            method + "\n" + path + "\n" + query + "\n" + lines + "\n" + names + "\n" + hash;
        String scope = day + "/" + this.region + "/s3/aws4_request";
        String toSign = "AWS4-HMAC-SHA256\n" + time + "\n" + scope + "\n" + hex(sha256(utf8(canonical)));
        byte[] key = hmac(utf8("AWS4" + this.secret), day);
        key = hmac(hmac(hmac(key, this.region), "s3"), "aws4_request");
        signed.put(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=" + this.keyId + "/" + scope + ", SignedHeaders=" + names
                + ", Signature=" + hex(hmac(key, toSign)));
        return signed;
    }

    /** A name percent-encoded as signatures want it; a path keeps its slashes. */
    static String encode(String text, boolean path) {
        StringBuilder encoded = new StringBuilder();
        byte[] bytes = utf8(text);
        for (int i = 0; i < bytes.length; i++) {
            int value = bytes[i] & 0xff;
            boolean plain = (value >= 'A' && value <= 'Z') || (value >= 'a' && value <= 'z')
                || (value >= '0' && value <= '9') || value == '-' || value == '_' || value == '.'
                || value == '~' || (path && value == '/');
            if (plain) {
                encoded.append((char) value);
            } else {
                encoded.append('%').append(Character.toUpperCase(HEX.charAt(value >> 4)));
                encoded.append(Character.toUpperCase(HEX.charAt(value & 15)));
            }
        }
        return encoded.toString();
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] digest(String algorithm, byte[] bytes) {
        try {
            return MessageDigest.getInstance(algorithm).digest(bytes);
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    private static byte[] sha256(byte[] bytes) {
        return digest("SHA-256", bytes);
    }

    private static byte[] hmac(byte[] key, String text) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            return mac.doFinal(utf8(text));
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < bytes.length; i++) {
            text.append(HEX.charAt((bytes[i] >> 4) & 15)).append(HEX.charAt(bytes[i] & 15));
        }
        return text.toString();
    }
}
