using System.Globalization;

namespace TorchStab.Samples;

/// <summary>A table of numbers and plain words as CSV; numbers in the invariant culture, NaN as an empty field.</summary>
public static class Csv
{
    public static void Write(string path, IEnumerable<string> header, IEnumerable<IEnumerable<object?>> rows)
    {
        using var file = new StreamWriter(path);
        file.WriteLine(string.Join(',', header));
        foreach (var row in rows) file.WriteLine(string.Join(',', row.Select(Field)));
    }

    private static string Field(object? value) => value switch
    {
        null or double.NaN => "",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ when value.ToString()!.IndexOfAny([',', '"', '\n']) < 0 => value.ToString()!,
        _ => '"' + value.ToString()!.Replace("\"", "\"\"") + '"',
    };
}
