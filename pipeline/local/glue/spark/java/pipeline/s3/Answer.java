// What S3 answered to one request: status, headers and the whole body.
package pipeline.s3;

import java.net.http.HttpHeaders;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

final class Answer {
    final int status;
    final byte[] body;
    private final HttpHeaders headers;

    Answer(int status, HttpHeaders headers, byte[] body) {
        this.status = status;
        this.headers = headers;
        this.body = body;
    }

    String header(String name) {
        return (String) this.headers.firstValue(name).orElse(null);
    }

    String text() {
        return new String(this.body, StandardCharsets.UTF_8);
    }

    /** The text between the first `<name>` and `</name>`, unescaped; null when there is none. */
    static String element(String xml, String name) {
        List found = elements(xml, name);
        return found.isEmpty() ? null : unescape((String) found.get(0));
    }

    /** The inner XML of every `<name>`. S3's answers have no attributes or nesting of one name in itself. */
    static List elements(String xml, String name) {
        List found = new ArrayList();
        String open = "<" + name + ">";
        String close = "</" + name + ">";
        int at = xml.indexOf(open);
        while (at >= 0) {
            int end = xml.indexOf(close, at);
            if (end < 0) {
                break;
            }
            found.add(xml.substring(at + open.length(), end));
            at = xml.indexOf(open, end);
        }
        return found;
    }

    static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;");
    }

    private static String unescape(String text) {
        return text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'")
            .replace("&#39;", "'").replace("&#34;", "\"").replace("&#13;", "\r").replace("&amp;", "&");
    }
}
